package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// call shows what a call of kadm gives, with the errors that it carries.
func call[R any](name string, do func(context.Context) (R, error), right ...string) R {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	result, err := do(ctx)
	show("kadm "+name, result, whole(result, err), right...)
	return result
}

func kadmCalls(bootstrap string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		panic(err)
	}
	defer client.Close()
	k := kadm.NewClient(client)
	topic, group := tag, tag+"-group"
	set := kadm.TopicsSet{}
	set.Add(topic, 0)
	text := kadm.StringPtr

	kadmTopics(k, client, topic, set)
	kadmConfigs(k, topic)
	kadmGroups(k, topic, group)
	kadmCluster(k, topic, set)
	kadmTransactions(k, bootstrap, topic)

	mine := kadm.ClientQuotaEntity{{Type: "client-id", Name: text(tag)}}
	ops := []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 1e9}}
	entries := []kadm.AlterClientQuotaEntry{{Entity: mine, Ops: ops}}
	call("ValidateAlterClientQuotas", func(c context.Context) (kadm.AlteredClientQuotas, error) {
		return k.ValidateAlterClientQuotas(c, entries)
	})
	call("AlterClientQuotas", func(c context.Context) (kadm.AlteredClientQuotas, error) { return k.AlterClientQuotas(c, entries) })
	asked := []kadm.DescribeClientQuotaComponent{{Type: "client-id", MatchName: text(tag), MatchType: 0}}
	call("DescribeClientQuotas", func(c context.Context) (kadm.DescribedClientQuotas, error) {
		return k.DescribeClientQuotas(c, true, asked)
	})
	entries[0].Ops[0].Remove = true
	call("AlterClientQuotas remove", func(c context.Context) (kadm.AlteredClientQuotas, error) { return k.AlterClientQuotas(c, entries) })
	call("DeleteTopics", func(c context.Context) (kadm.DeleteTopicResponses, error) { return k.DeleteTopics(c, topic, tag+"-b") })
	call("DeleteTopic again", func(c context.Context) (kadm.DeleteTopicResponse, error) { return k.DeleteTopic(c, topic) }, "UNKNOWN_TOPIC_OR_PARTITION")
}

func kadmTopics(k *kadm.Client, client *kgo.Client, topic string, set kadm.TopicsSet) {
	text := kadm.StringPtr
	configs := map[string]*string{"retention.ms": text("1000000")}
	call("ValidateCreateTopics", func(c context.Context) (kadm.CreateTopicResponses, error) {
		return k.ValidateCreateTopics(c, 2, 1, configs, topic)
	})
	call("CreateTopic", func(c context.Context) (kadm.CreateTopicResponse, error) {
		return k.CreateTopic(c, 2, 1, configs, topic)
	})
	call("CreateTopics defaults", func(c context.Context) (kadm.CreateTopicResponses, error) {
		return k.CreateTopics(c, -1, -1, nil, topic+"-b")
	})
	call("CreateTopic again", func(c context.Context) (kadm.CreateTopicResponse, error) { return k.CreateTopic(c, 2, 1, nil, topic) }, "TOPIC_ALREADY_EXISTS")
	for n := 0; n < 10; n++ {
		record := &kgo.Record{Topic: topic, Value: []byte("value"), Timestamp: time.UnixMilli(1_700_000_000_000 + int64(n)*1000)}
		if err := client.ProduceSync(context.Background(), record).FirstErr(); err != nil {
			show("produce", nil, err)
		}
	}
	call("ListTopics", func(c context.Context) (kadm.TopicDetails, error) { return k.ListTopics(c, topic) })
	call("ListTopicsWithInternal", func(c context.Context) (int, error) {
		details, err := k.ListTopicsWithInternal(c, topic, topic+"-b")
		return len(details), err
	})
	call("Metadata", func(c context.Context) (kadm.TopicDetails, error) {
		metadata, err := k.Metadata(c, topic)
		return metadata.Topics, err
	})
	call("BrokerMetadata", func(c context.Context) (kadm.BrokerDetails, error) {
		metadata, err := k.BrokerMetadata(c)
		return metadata.Brokers, err
	})
	call("ListBrokers", func(c context.Context) (kadm.BrokerDetails, error) { return k.ListBrokers(c) })
	call("ValidateCreatePartitions", func(c context.Context) (kadm.CreatePartitionsResponses, error) {
		return k.ValidateCreatePartitions(c, 1, topic)
	})
	call("CreatePartitions", func(c context.Context) (kadm.CreatePartitionsResponses, error) {
		return k.CreatePartitions(c, 1, topic)
	})
	call("ValidateUpdatePartitions", func(c context.Context) (kadm.CreatePartitionsResponses, error) {
		return k.ValidateUpdatePartitions(c, 4, topic)
	})
	call("UpdatePartitions", func(c context.Context) (kadm.CreatePartitionsResponses, error) {
		return k.UpdatePartitions(c, 4, topic)
	})
	call("UpdatePartitions fewer", func(c context.Context) (kadm.CreatePartitionsResponses, error) {
		return k.UpdatePartitions(c, 1, topic)
	}, "INVALID_PARTITIONS")
	call("ListStartOffsets", func(c context.Context) (kadm.ListedOffsets, error) { return k.ListStartOffsets(c, topic) })
	call("ListEndOffsets", func(c context.Context) (kadm.ListedOffsets, error) { return k.ListEndOffsets(c, topic) })
	call("ListCommittedOffsets", func(c context.Context) (kadm.ListedOffsets, error) { return k.ListCommittedOffsets(c, topic) })
	call("ListMaxTimestampOffsets", func(c context.Context) (kadm.ListedOffsets, error) { return k.ListMaxTimestampOffsets(c, topic) })
	call("ListLocalLogStartOffsets", func(c context.Context) (kadm.ListedOffsets, error) { return k.ListLocalLogStartOffsets(c, topic) })
	call("ListLatestRemoteOffsets", func(c context.Context) (kadm.ListedOffsets, error) { return k.ListLatestRemoteOffsets(c, topic) })
	call("ListOffsetsAfterMilli", func(c context.Context) (kadm.ListedOffsets, error) {
		return k.ListOffsetsAfterMilli(c, 1_700_000_004_500, topic)
	})
	call("OffsetForLeaderEpoch", func(c context.Context) (kadm.OffsetsForLeaderEpochs, error) {
		return k.OffsetForLeaderEpoch(c, kadm.OffsetForLeaderEpochRequest{topic: {0: 0}})
	})
	call("DescribeProducers", func(c context.Context) (kadm.DescribedProducersTopics, error) { return k.DescribeProducers(c, set) })
	call("DeleteRecords", func(c context.Context) (kadm.DeleteRecordsResponses, error) {
		offsets := kadm.Offsets{}
		offsets.AddOffset(topic, 0, 4, -1)
		return k.DeleteRecords(c, offsets)
	})
	call("DeleteRecords beyond", func(c context.Context) (kadm.DeleteRecordsResponses, error) {
		offsets := kadm.Offsets{}
		offsets.AddOffset(topic, 0, 400, -1)
		return k.DeleteRecords(c, offsets)
	}, "OFFSET_OUT_OF_RANGE")
}

func kadmConfigs(k *kadm.Client, topic string) {
	text := kadm.StringPtr
	type results = kadm.AlterConfigsResponses
	one := func(op kadm.IncrementalOp, name, value string) []kadm.AlterConfig {
		return []kadm.AlterConfig{{Op: op, Name: name, Value: text(value)}}
	}
	call("DescribeTopicConfigs", func(c context.Context) (kadm.ResourceConfigs, error) { return k.DescribeTopicConfigs(c, topic) })
	call("DescribeBrokerConfigs", func(c context.Context) (bool, error) {
		configs, err := k.DescribeBrokerConfigs(c, 1)
		return len(configs) == 1 && len(configs[0].Configs) > 200, err
	})
	call("DescribeBrokerConfigs of all", func(c context.Context) (kadm.ResourceConfigs, error) { return k.DescribeBrokerConfigs(c) })
	call("ValidateAlterTopicConfigs", func(c context.Context) (results, error) {
		return k.ValidateAlterTopicConfigs(c, one(kadm.SetConfig, "retention.ms", "7"), topic)
	})
	call("AlterTopicConfigs", func(c context.Context) (results, error) {
		return k.AlterTopicConfigs(c, one(kadm.AppendConfig, "cleanup.policy", "compact"), topic)
	})
	call("AlterTopicConfigs wrong", func(c context.Context) (results, error) {
		return k.AlterTopicConfigs(c, one(kadm.SetConfig, "retention.ms", "long"), topic)
	}, "INVALID_CONFIG")
	call("ValidateAlterTopicConfigsState", func(c context.Context) (results, error) {
		return k.ValidateAlterTopicConfigsState(c, one(kadm.SetConfig, "retention.ms", "8"), topic)
	})
	call("AlterTopicConfigsState", func(c context.Context) (results, error) {
		return k.AlterTopicConfigsState(c, one(kadm.SetConfig, "retention.bytes", "100000000"), topic)
	})
	call("DescribeTopicConfigs changed", func(c context.Context) (kadm.ResourceConfigs, error) { return k.DescribeTopicConfigs(c, topic) })
	call("ValidateAlterBrokerConfigs", func(c context.Context) (results, error) {
		return k.ValidateAlterBrokerConfigs(c, one(kadm.SetConfig, "message.max.bytes", "2000000"), 1)
	})
	call("AlterBrokerConfigs", func(c context.Context) (results, error) {
		return k.AlterBrokerConfigs(c, one(kadm.SetConfig, "message.max.bytes", "2000000"), 1)
	})
	call("AlterBrokerConfigs back", func(c context.Context) (results, error) {
		return k.AlterBrokerConfigs(c, []kadm.AlterConfig{{Op: kadm.DeleteConfig, Name: "message.max.bytes"}}, 1)
	})
	call("AlterBrokerConfigs fixed", func(c context.Context) (results, error) {
		return k.AlterBrokerConfigs(c, one(kadm.SetConfig, "log.dirs", "x"), 1)
	}, "INVALID_REQUEST")
	call("ValidateAlterBrokerConfigsState", func(c context.Context) (results, error) {
		return k.ValidateAlterBrokerConfigsState(c, one(kadm.SetConfig, "message.max.bytes", "2000000"), 1)
	})
	call("AlterBrokerConfigsState", func(c context.Context) (results, error) { return k.AlterBrokerConfigsState(c, nil, 1) })
	call("ListConfigResources", func(c context.Context) (kadm.ListedConfigResources, error) {
		return k.ListConfigResources(c, kadm.ConfigResourceBroker, kadm.ConfigResourceBrokerLogger)
	})
}

func kadmGroups(k *kadm.Client, topic, group string) {
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 6, -1)
	offsets.AddOffset(topic, 1, 0, -1)
	// The first one asked for makes Kafka create the topic.
	for n := 0; n < 100 && k.FindGroupCoordinators(context.Background(), group).Error() != nil; n++ {
		time.Sleep(100 * time.Millisecond)
	}
	call("FindGroupCoordinators", func(c context.Context) (kadm.FindCoordinatorResponses, error) {
		return k.FindGroupCoordinators(c, group), nil
	})
	call("CommitOffsets", func(c context.Context) (kadm.OffsetResponses, error) { return k.CommitOffsets(c, group, offsets) })
	call("CommitAllOffsets", func(c context.Context) (int, error) { return 0, k.CommitAllOffsets(c, group, offsets) })
	call("FetchOffsets", func(c context.Context) (kadm.OffsetResponses, error) { return k.FetchOffsets(c, group) })
	call("FetchOffsetsForTopics", func(c context.Context) (kadm.OffsetResponses, error) { return k.FetchOffsetsForTopics(c, group, topic) })
	call("FetchManyOffsets", func(c context.Context) (kadm.FetchOffsetsResponses, error) {
		return k.FetchManyOffsets(c, group, group+"-none"), nil
	})
	details, err := k.ListTopics(context.Background(), topic)
	if err != nil {
		panic(err)
	}
	id := details[topic].ID
	byID := kadm.OffsetsByID{id: {0: {Partition: 0, At: 7, LeaderEpoch: -1}}}
	call("CommitOffsetsByID", func(c context.Context) (int, error) {
		committed, err := k.CommitOffsetsByID(c, group, byID)
		return len(committed), err
	})
	call("CommitAllOffsetsByID", func(c context.Context) (int, error) { return 0, k.CommitAllOffsetsByID(c, group, byID) })
	call("FetchOffsetsByID", func(c context.Context) (int64, error) {
		fetched, err := k.FetchOffsetsByID(c, group)
		return fetched[id][0].At, err
	})
	call("Lag", func(c context.Context) (int64, error) {
		lag, err := k.Lag(c, group)
		return lag[group].Lag.Total(), err
	})
	call("ListGroups", func(c context.Context) (bool, error) {
		groups, err := k.ListGroups(c, "Empty")
		_, found := groups[group]
		return found, err
	})
	call("ListGroupsByType", func(c context.Context) (bool, error) {
		groups, err := k.ListGroupsByType(c, []string{"classic"})
		_, found := groups[group]
		return found, err
	})
	call("DescribeGroups", func(c context.Context) (kadm.DescribedGroups, error) { return k.DescribeGroups(c, group) })
	call("DescribeConsumerGroups", func(c context.Context) (kadm.DescribedConsumerGroups, error) {
		return k.DescribeConsumerGroups(c, group)
	}, "GROUP_ID_NOT_FOUND")
	call("LeaveGroup", func(c context.Context) (kadm.LeaveGroupResponses, error) {
		return k.LeaveGroup(c, kadm.LeaveGroup(group).InstanceIDs("nobody"))
	}, "UNKNOWN_MEMBER_ID")
	call("DeleteOffsets", func(c context.Context) (kadm.DeleteOffsetsResponses, error) {
		set := kadm.TopicsSet{}
		set.Add(topic, 1)
		return k.DeleteOffsets(c, group, set)
	})
	call("DeleteGroup", func(c context.Context) (kadm.DeleteGroupResponse, error) { return k.DeleteGroup(c, group) })
	call("DeleteGroups again", func(c context.Context) (kadm.DeleteGroupResponses, error) { return k.DeleteGroups(c, group) }, "GROUP_ID_NOT_FOUND")
}

func kadmCluster(k *kadm.Client, topic string, set kadm.TopicsSet) {
	var dir string
	call("DescribeAllLogDirs", func(c context.Context) (kadm.DescribedAllLogDirs, error) {
		all, err := k.DescribeAllLogDirs(c, set)
		for name := range all[1] {
			dir = name
		}
		return all, err
	})
	call("DescribeBrokerLogDirs", func(c context.Context) (kadm.DescribedLogDirs, error) { return k.DescribeBrokerLogDirs(c, 1, set) })
	var move kadm.AlterReplicaLogDirsReq
	move.Add(dir, set)
	call("AlterAllReplicaLogDirs", func(c context.Context) (kadm.AlterAllReplicaLogDirsResponses, error) {
		return k.AlterAllReplicaLogDirs(c, move)
	})
	call("AlterBrokerReplicaLogDirs", func(c context.Context) (kadm.AlterReplicaLogDirsResponses, error) {
		return k.AlterBrokerReplicaLogDirs(c, 1, move)
	})
	call("ApiVersions", func(c context.Context) (bool, error) {
		versions, err := k.ApiVersions(c)
		return len(versions) == 1, err
	})
	call("ElectLeaders", func(c context.Context) (kadm.ElectLeadersResults, error) {
		return k.ElectLeaders(c, kadm.ElectPreferredReplica, set)
	}, "ELECTION_NOT_NEEDED")
	call("UpdateFeatures unknown", func(c context.Context) (kadm.UpdatedFeatures, error) {
		return k.UpdateFeatures(c, true, kadm.FeatureUpdate{Feature: "no.such.feature", MaxVersionLevel: 1, UpgradeType: 1})
	}, "INVALID_UPDATE_VERSION")
	call("AlterPartitionAssignments", func(c context.Context) (kadm.AlterPartitionAssignmentsResponses, error) {
		return k.AlterPartitionAssignments(c, kadm.AlterPartitionAssignmentsReq{topic: {0: []int32{1}}})
	})
	call("AlterPartitionAssignments cancel", func(c context.Context) (kadm.AlterPartitionAssignmentsResponses, error) {
		return k.AlterPartitionAssignments(c, kadm.AlterPartitionAssignmentsReq{topic: {0: nil}})
	}, "NO_REASSIGNMENT_IN_PROGRESS")
	call("ListPartitionReassignments", func(c context.Context) (kadm.ListPartitionReassignmentsResponses, error) {
		return k.ListPartitionReassignments(c, set)
	})
}

func kadmTransactions(k *kadm.Client, bootstrap, topic string) {
	id := tag + "-transaction"
	producer, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.TransactionalID(id), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		panic(err)
	}
	defer producer.Close()
	if err := producer.BeginTransaction(); err != nil {
		show("begin", nil, err)
	}
	err = producer.ProduceSync(context.Background(), kgo.StringRecord("in a transaction")).FirstErr()
	show("kadm produce", nil, err)
	ids := []string{id}
	call("FindTxnCoordinators", func(c context.Context) (kadm.FindCoordinatorResponses, error) {
		return k.FindTxnCoordinators(c, ids...), nil
	})
	call("DescribeTransactions", func(c context.Context) (int, error) {
		described, err := k.DescribeTransactions(c, ids...)
		if err == nil {
			err = described[id].Err
		}
		return len(described), err
	})
	call("ListTransactions", func(c context.Context) (bool, error) {
		listed, err := k.ListTransactions(c, nil, []string{"Ongoing"})
		_, found := listed[id]
		return found, err
	})
	call("ListTransactionsByTxPattern", func(c context.Context) (bool, error) {
		listed, err := k.ListTransactionsByTxPattern(c, nil, nil, id+".*")
		_, found := listed[id]
		return found, err
	})
	described, err := k.DescribeProducers(context.Background(), kadm.TopicsSet{topic: {0: {}}})
	show("kadm DescribeProducers of it", nil, err)
	for _, in := range described[topic].Partitions {
		for _, found := range in.ActiveProducers {
			if found.CurrentTxnStartOffset < 0 {
				continue
			}
			marker := kadm.TxnMarkers{ProducerID: found.ProducerID, ProducerEpoch: found.ProducerEpoch, CoordinatorEpoch: 0}
			marker.Topics = kadm.TopicsSet{topic: {in.Partition: {}}}
			call("WriteTxnMarkers", func(c context.Context) (kadm.TxnMarkersResponses, error) { return k.WriteTxnMarkers(c, marker) })
		}
	}
	if err := producer.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
		show("commit", nil, err)
	}
}
