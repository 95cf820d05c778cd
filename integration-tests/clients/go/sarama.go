package main

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
)

// ibm is sarama. One producer of a kind is kept, as its restarts are to be its own.
type ibm struct {
	bootstrap []string
	producers map[string]sarama.SyncProducer
}

func newSarama(bootstrap string) *ibm {
	return &ibm{bootstrap: []string{bootstrap}, producers: map[string]sarama.SyncProducer{}}
}

func saramaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Group.Session.Timeout = 6 * time.Second
	config.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	return config
}

func (s *ibm) create(_ context.Context, topic string, partitions int, configs map[string]string) error {
	admin, err := sarama.NewClusterAdmin(s.bootstrap, saramaConfig())
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	set := map[string]*string{}
	for key, value := range configs {
		set[key] = &value
	}
	return admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: int32(partitions), ReplicationFactor: 1, ConfigEntries: set}, false)
}

func (s *ibm) producer(codec string, acks int) (sarama.SyncProducer, error) {
	name := codec + string(rune('1'+acks))
	if producer, ok := s.producers[name]; ok {
		return producer, nil
	}
	config := saramaConfig()
	if err := config.Producer.Compression.UnmarshalText([]byte(codec)); err != nil {
		return nil, err
	}
	config.Producer.RequiredAcks = sarama.RequiredAcks(acks)
	if acks == -1 {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
	}
	producer, err := sarama.NewSyncProducer(s.bootstrap, config)
	if err == nil {
		s.producers[name] = producer
	}
	return producer, err
}

func messages(topic string, records []record) []*sarama.ProducerMessage {
	var all []*sarama.ProducerMessage
	for _, r := range records {
		all = append(all, &sarama.ProducerMessage{
			Topic: topic, Partition: int32(r.partition), Key: sarama.StringEncoder(r.key), Value: sarama.StringEncoder(r.value),
			Timestamp: time.UnixMilli(r.timeMs),
		})
	}
	return all
}

func (s *ibm) send(_ context.Context, topic, codec string, acks int, records []record) error {
	producer, err := s.producer(codec, acks)
	if err != nil {
		return err
	}
	return producer.SendMessages(messages(topic, records))
}

func (s *ibm) read(ctx context.Context, topic string, from int64, count int, committed bool) ([]record, error) {
	config := saramaConfig()
	if committed {
		config.Consumer.IsolationLevel = sarama.ReadCommitted
	}
	consumer, err := sarama.NewConsumer(s.bootstrap, config)
	if err != nil {
		return nil, err
	}
	defer func() { _ = consumer.Close() }()
	partition, err := consumer.ConsumePartition(topic, 0, from)
	if err != nil {
		return nil, err
	}
	defer func() { _ = partition.Close() }()
	var seen []record
	for len(seen) < count {
		select {
		case message := <-partition.Messages():
			seen = append(seen, record{offset: message.Offset, value: string(message.Value)})
		case <-ctx.Done():
			return seen, ctx.Err()
		}
	}
	return seen, nil
}

func (s *ibm) offsetAt(_ context.Context, topic string, ms int64) (int64, error) {
	client, err := sarama.NewClient(s.bootstrap, saramaConfig())
	if err != nil {
		return 0, err
	}
	defer func() { _ = client.Close() }()
	return client.GetOffset(topic, 0, ms)
}

type handler struct{ each func(record) }

func (handler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			h.each(record{value: string(message.Value)})
			session.MarkMessage(message, "")
		case <-session.Context().Done():
			return nil
		}
	}
}

func (s *ibm) join(ctx context.Context, group, topic string, each func(record)) error {
	consumer, err := sarama.NewConsumerGroup(s.bootstrap, group, saramaConfig())
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		// It gives up while the broker is away, and is to be called again.
		if err := consumer.Consume(ctx, []string{topic}, handler{each}); errors.Is(err, sarama.ErrClosedConsumerGroup) {
			return err
		}
	}
	return consumer.Close()
}

func (s *ibm) transact(_ context.Context, id, topic string, values []string) error {
	config := saramaConfig()
	config.Producer.Transaction.ID = id
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Net.MaxOpenRequests = 1
	producer, err := sarama.NewSyncProducer(s.bootstrap, config)
	if err != nil {
		return err
	}
	defer func() { _ = producer.Close() }()
	for _, value := range values {
		if err := producer.BeginTxn(); err != nil {
			return err
		}
		if err := producer.SendMessages(messages(topic, []record{{value: value}})); err != nil {
			return err
		}
		end := producer.CommitTxn
		if value == "aborted" {
			end = producer.AbortTxn
		}
		if err := end(); err != nil {
			return err
		}
	}
	return nil
}
