// clients LIBRARY SCENARIO BOOTSTRAP TAG: the scenarios of every Go library, which are told apart by the files of their names.
package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

type record struct {
	partition  int
	offset     int64
	key, value string
	timeMs     int64
}

// library is what a scenario wants of a client library.
type library interface {
	// create makes a topic.
	create(ctx context.Context, topic string, partitions int, configs map[string]string) error
	// send returns when all records are acknowledged, or sent with acks 0.
	send(ctx context.Context, topic, codec string, acks int, records []record) error
	// read gives count records of partition 0 from an offset on.
	read(ctx context.Context, topic string, from int64, count int, committed bool) ([]record, error)
	// offsetAt gives the first offset of partition 0 at or behind a time.
	offsetAt(ctx context.Context, topic string, ms int64) (int64, error)
	// join reads as a member of a group, and commits what it has given away, until the context ends.
	join(ctx context.Context, group, topic string, each func(record)) error
}

// transactional is a library that has transactions.
type transactional interface {
	// transact sends every value in a transaction of its own, which is aborted if the value is "aborted".
	transact(ctx context.Context, id, topic string, values []string) error
}

// administrative is a library whose calls are tried here, and not by a program of the folder admin.
type administrative interface {
	// administer asks for what is known of a topic of two partitions with 20 records, changes and deletes it.
	administer(ctx context.Context, topic string) error
}

func open(name, bootstrap string) library {
	switch name {
	case "franz":
		return &franz{bootstrap: bootstrap}
	case "franz_next":
		return &franz{bootstrap: bootstrap, next: true}
	case "sarama":
		return newSarama(bootstrap)
	case "kafka_go":
		return newSegment(bootstrap)
	}
	panic("no library " + name)
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "clients LIBRARY SCENARIO BOOTSTRAP TAG")
		os.Exit(2)
	}
	scenarios := map[string]func(context.Context, library, string) error{
		"codecs": codecs, "group": group, "rebalance": rebalance, "next": next, "seek": seek, "compacted": compacted,
		"transaction": transaction, "restart": restart, "admin": admin,
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	name, scenario := os.Args[1], os.Args[2]
	if scenario == "next" {
		name += "_next"
	}
	if err := scenarios[scenario](ctx, open(name, os.Args[3]), os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
