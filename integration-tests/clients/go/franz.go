package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franz is franz-go. One producer is kept, as its restarts are to be its own.
type franz struct {
	bootstrap string
	next      bool
	producers map[string]*kgo.Client
}

func (f *franz) client(ctx context.Context, options ...kgo.Opt) (*kgo.Client, error) {
	if f.next {
		ctx = context.WithValue(ctx, "opt_in_kafka_next_gen_balancer_beta", true) //nolint:staticcheck // the library's name for it
	}
	return kgo.NewClient(append(options, kgo.SeedBrokers(f.bootstrap), kgo.WithContext(ctx))...)
}

func (f *franz) create(ctx context.Context, topic string, partitions int, configs map[string]string) error {
	client, err := f.client(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	set := map[string]*string{}
	for key, value := range configs {
		set[key] = &value
	}
	_, err = kadm.NewClient(client).CreateTopic(ctx, int32(partitions), 1, set, topic)
	return err
}

func (f *franz) producer(ctx context.Context, codec string, acks int) (*kgo.Client, error) {
	name := codec + string(rune('1'+acks))
	if client, ok := f.producers[name]; ok {
		return client, nil
	}
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	options := []kgo.Opt{
		kgo.ProducerBatchCompression(codecs[codec]), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5 * time.Millisecond),
	}
	switch acks {
	case 0:
		options = append(options, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	case 1:
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	}
	client, err := f.client(ctx, options...)
	if err == nil {
		if f.producers == nil {
			f.producers = map[string]*kgo.Client{}
		}
		f.producers[name] = client
	}
	return client, err
}

func (f *franz) send(ctx context.Context, topic, codec string, acks int, records []record) error {
	client, err := f.producer(ctx, codec, acks)
	if err != nil {
		return err
	}
	var all []*kgo.Record
	for _, r := range records {
		all = append(all, &kgo.Record{
			Topic: topic, Partition: int32(r.partition), Key: []byte(r.key), Value: []byte(r.value), Timestamp: time.UnixMilli(r.timeMs),
		})
	}
	return client.ProduceSync(ctx, all...).FirstErr()
}

func (f *franz) read(ctx context.Context, topic string, from int64, count int, committed bool) ([]record, error) {
	options := []kgo.Opt{kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(from)}})}
	if committed {
		options = append(options, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	client, err := f.client(ctx, options...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var seen []record
	for len(seen) < count {
		fetches := client.PollRecords(ctx, count-len(seen))
		if err := fetches.Err(); err != nil {
			return seen, err
		}
		fetches.EachRecord(func(r *kgo.Record) { seen = append(seen, record{offset: r.Offset, value: string(r.Value)}) })
	}
	return seen, nil
}

func (f *franz) offsetAt(ctx context.Context, topic string, ms int64) (int64, error) {
	client, err := f.client(ctx)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	listed, err := kadm.NewClient(client).ListOffsetsAfterMilli(ctx, ms, topic)
	if err != nil {
		return 0, err
	}
	offset, _ := listed.Lookup(topic, 0)
	return offset.Offset, offset.Err
}

func (f *franz) join(ctx context.Context, group, topic string, each func(record)) error {
	client, err := f.client(context.WithoutCancel(ctx), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(300*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		fetches.EachRecord(func(r *kgo.Record) { each(record{value: string(r.Value)}) })
		// A rebalance or a restart in between: the same records come again.
		_ = client.CommitUncommittedOffsets(ctx)
	}
	return nil
}

func (f *franz) transact(ctx context.Context, id, topic string, values []string) error {
	client, err := f.client(ctx, kgo.TransactionalID(id), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	for _, value := range values {
		if err := client.BeginTransaction(); err != nil {
			return err
		}
		if err := client.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr(); err != nil {
			return err
		}
		if err := client.EndTransaction(ctx, value != "aborted"); err != nil {
			return err
		}
	}
	return nil
}
