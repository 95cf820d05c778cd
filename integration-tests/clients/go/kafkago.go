package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
)

// segment is kafka-go, which has no transactions. One writer of a kind is kept, as its restarts are to be its own.
type segment struct {
	bootstrap string
	writers   map[string]*kafka.Writer
}

func newSegment(bootstrap string) *segment {
	return &segment{bootstrap: bootstrap, writers: map[string]*kafka.Writer{}}
}

func (s *segment) client() *kafka.Client { return &kafka.Client{Addr: kafka.TCP(s.bootstrap)} }

func (s *segment) create(ctx context.Context, topic string, partitions int, configs map[string]string) error {
	var entries []kafka.ConfigEntry
	for key, value := range configs {
		entries = append(entries, kafka.ConfigEntry{ConfigName: key, ConfigValue: value})
	}
	created, err := s.client().CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
		{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: entries},
	}})
	if err != nil {
		return err
	}
	return created.Errors[topic]
}

// byNumber takes the partition from a header: the writer knows no other way.
type byNumber struct{}

func (byNumber) Balance(message kafka.Message, partitions ...int) int {
	number, _ := strconv.Atoi(string(message.Headers[0].Value))
	return partitions[number]
}

func (s *segment) send(ctx context.Context, topic, codec string, acks int, records []record) error {
	name := codec + string(rune('1'+acks))
	writer, ok := s.writers[name]
	if !ok {
		codecs := map[string]kafka.Compression{"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}
		writer = &kafka.Writer{
			Addr: kafka.TCP(s.bootstrap), Balancer: byNumber{}, BatchTimeout: 5 * time.Millisecond,
			RequiredAcks: kafka.RequiredAcks(acks), Compression: codecs[codec],
		}
		s.writers[name] = writer
	}
	var all []kafka.Message
	for _, r := range records {
		all = append(all, kafka.Message{
			Topic: topic, Key: []byte(r.key), Value: []byte(r.value), Time: time.UnixMilli(r.timeMs),
			Headers: []kafka.Header{{Key: "partition", Value: []byte(strconv.Itoa(r.partition))}},
		})
	}
	return writer.WriteMessages(ctx, all...)
}

func (s *segment) reader(topic string, committed bool) *kafka.Reader {
	config := kafka.ReaderConfig{Brokers: []string{s.bootstrap}, Topic: topic, MaxWait: 100 * time.Millisecond}
	if committed {
		config.IsolationLevel = kafka.ReadCommitted
	}
	return kafka.NewReader(config)
}

func (s *segment) read(ctx context.Context, topic string, from int64, count int, committed bool) ([]record, error) {
	reader := s.reader(topic, committed)
	defer func() { _ = reader.Close() }()
	if err := reader.SetOffset(from); err != nil {
		return nil, err
	}
	var seen []record
	for len(seen) < count {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			return seen, err
		}
		seen = append(seen, record{offset: message.Offset, value: string(message.Value)})
	}
	return seen, nil
}

func (s *segment) offsetAt(ctx context.Context, topic string, ms int64) (int64, error) {
	reader := s.reader(topic, false)
	defer func() { _ = reader.Close() }()
	err := reader.SetOffsetAt(ctx, time.UnixMilli(ms))
	return reader.Offset(), err
}

func (s *segment) join(ctx context.Context, group, topic string, each func(record)) error {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{s.bootstrap}, GroupID: group, Topic: topic, StartOffset: kafka.FirstOffset,
		MaxWait: 100 * time.Millisecond, SessionTimeout: 6 * time.Second, HeartbeatInterval: 300 * time.Millisecond, JoinGroupBackoff: 100 * time.Millisecond,
	})
	for ctx.Err() == nil {
		message, err := reader.FetchMessage(ctx)
		if err != nil {
			if errors.Is(err, context.Canceled) {
				break
			}
			continue
		}
		each(record{value: string(message.Value)})
		// A rebalance or a restart in between: the same records come again.
		_ = reader.CommitMessages(ctx, message)
	}
	return reader.Close()
}

func (s *segment) administer(ctx context.Context, topic string) error {
	client := s.client()
	grown, err := client.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: 3}}})
	if err != nil {
		return err
	}
	if err := grown.Errors[topic]; err != nil {
		return err
	}
	// The client would answer from what it remembers.
	connection, err := kafka.DialContext(ctx, "tcp", s.bootstrap)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	known, err := connection.ReadPartitions(topic)
	if err != nil {
		return err
	}
	if err := expect(len(known), 3, "partitions"); err != nil {
		return err
	}
	changed, err := client.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{
		{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, Configs: []kafka.IncrementalAlterConfigsRequestConfig{
			{Name: "retention.ms", Value: "2000000", ConfigOperation: kafka.ConfigOperationSet},
		}},
	}})
	if err != nil {
		return err
	}
	if err := changed.Resources[0].Error; err != nil {
		return err
	}
	described, err := client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
		{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"retention.ms"}},
	}})
	if err != nil {
		return err
	}
	if err := expect(described.Resources[0].ConfigEntries[0].ConfigValue, "2000000", "retention.ms"); err != nil {
		return err
	}
	listed, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {kafka.LastOffsetOf(0)}}})
	if err != nil {
		return err
	}
	if err := expect(listed.Topics[topic][0].LastOffset, 20, "end"); err != nil {
		return err
	}
	committed, err := client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{
		GroupID: topic, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: 0, Offset: 6}}},
	})
	if err != nil {
		return err
	}
	if err := committed.Topics[topic][0].Error; err != nil {
		return err
	}
	fetched, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: topic, Topics: map[string][]int{topic: {0}}})
	if err != nil {
		return err
	}
	if err := expect(fetched.Topics[topic][0].CommittedOffset, 6, "committed"); err != nil {
		return err
	}
	groups, err := client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{topic}})
	if err != nil {
		return err
	}
	if err := expect(groups.Groups[0].GroupState, "Empty", "state"); err != nil {
		return err
	}
	gone, err := client.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{topic}})
	if err != nil {
		return err
	}
	if err := gone.Errors[topic]; err != nil {
		return err
	}
	deleted, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err != nil {
		return err
	}
	return deleted.Errors[topic]
}
