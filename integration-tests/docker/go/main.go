// Drives the Kafka module of Testcontainers for Go, with a client of the same language.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

const records = 10

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := drive(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ok confluent-local")
}

func drive(ctx context.Context) error {
	container, err := kafka.Run(ctx, "confluentinc/confluent-local:7.5.0", kafka.WithClusterID("test-cluster"))
	if container != nil {
		defer testcontainers.TerminateContainer(container)
	}
	if err == nil {
		var brokers []string
		if brokers, err = container.Brokers(ctx); err == nil {
			err = exchange(ctx, brokers)
		}
	}
	if err != nil && container != nil {
		if logs, _ := container.Logs(ctx); logs != nil {
			_, _ = io.Copy(os.Stderr, logs)
		}
	}
	return err
}

// What is produced is consumed, by a group.
func exchange(ctx context.Context, brokers []string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.AllowAutoTopicCreation(), kgo.ConsumerGroup("readers"),
		kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	for number := range records {
		record := &kgo.Record{Topic: "orders", Value: fmt.Appendf(nil, "order %d", number)}
		if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
			return err
		}
	}
	for read := 0; read < records; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, record := range fetches.Records() {
			if value := string(record.Value); value != fmt.Sprintf("order %d", read) {
				return fmt.Errorf("record %d is %s", read, value)
			}
			read++
		}
	}
	return nil
}
