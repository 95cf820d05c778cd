package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const baseMs = 1_700_000_000_000

func values(from, to int) []record {
	records := make([]record, 0, to-from)
	for n := from; n < to; n++ {
		records = append(records, record{key: fmt.Sprintf("k%d", n%10), value: fmt.Sprintf("value %d", n), timeMs: baseMs + int64(n)*1000})
	}
	return records
}

func expect(seen, wanted any, what string) error {
	if fmt.Sprint(seen) != fmt.Sprint(wanted) {
		return fmt.Errorf("%s: %.300s instead of %.300s", what, fmt.Sprint(seen), fmt.Sprint(wanted))
	}
	return nil
}

func texts(records []record) []string {
	all := make([]string, 0, len(records))
	for _, r := range records {
		all = append(all, r.value)
	}
	return all
}

func codecs(ctx context.Context, lib library, tag string) error {
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		for _, acks := range []int{0, 1, -1} {
			topic := fmt.Sprintf("%s-%s-%d", tag, codec, acks+1)
			if err := lib.create(ctx, topic, 1, nil); err != nil {
				return err
			}
			if err := lib.send(ctx, topic, codec, acks, values(0, 100)); err != nil {
				return fmt.Errorf("%s: %w", topic, err)
			}
			seen, err := lib.read(ctx, topic, 0, 100, false)
			if err != nil {
				return fmt.Errorf("%s: %w", topic, err)
			}
			if err := expect(texts(seen), texts(values(0, 100)), topic); err != nil {
				return err
			}
		}
	}
	return nil
}

func seek(ctx context.Context, lib library, tag string) error {
	if err := lib.create(ctx, tag, 1, nil); err != nil {
		return err
	}
	if err := lib.send(ctx, tag, "none", -1, values(0, 50)); err != nil {
		return err
	}
	offset, err := lib.offsetAt(ctx, tag, baseMs+20_500)
	if err != nil {
		return err
	}
	if err := expect(offset, 21, "by time"); err != nil {
		return err
	}
	seen, err := lib.read(ctx, tag, offset, 1, false)
	if err != nil {
		return err
	}
	return expect(texts(seen), []string{"value 21"}, "after the seek")
}

// compacted reads until of every key but the last batch's only the newest record is left.
func compacted(ctx context.Context, lib library, tag string) error {
	configs := map[string]string{"cleanup.policy": "compact", "segment.ms": "1", "min.cleanable.dirty.ratio": "0"}
	if err := lib.create(ctx, tag, 1, configs); err != nil {
		return err
	}
	for round := range 5 {
		records := values(round*10, round*10+10)
		for n := range records {
			records[n].timeMs = time.Now().UnixMilli() + int64(round)*1000
		}
		if err := lib.send(ctx, tag, "lz4", -1, records); err != nil {
			return err
		}
	}
	last := []record{{key: "last", value: "last", timeMs: time.Now().UnixMilli() + 10_000}}
	if err := lib.send(ctx, tag, "none", -1, last); err != nil {
		return err
	}
	want := append(texts(values(40, 50)), "last")
	for {
		var seen []string
		for from := int64(0); from <= 50; {
			records, err := lib.read(ctx, tag, from, 1, false)
			if err != nil {
				return fmt.Errorf("%v: %w", seen, err)
			}
			seen = append(seen, records[0].value)
			from = records[0].offset + 1
		}
		if expect(seen, want, "") == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func transaction(ctx context.Context, lib library, tag string) error {
	if err := lib.create(ctx, tag, 1, nil); err != nil {
		return err
	}
	if err := lib.(transactional).transact(ctx, tag, tag, []string{"committed", "aborted", "committed too"}); err != nil {
		return err
	}
	seen, err := lib.read(ctx, tag, 0, 2, true)
	if err != nil {
		return err
	}
	if err := expect(texts(seen), []string{"committed", "committed too"}, "read_committed"); err != nil {
		return err
	}
	seen, err = lib.read(ctx, tag, 0, 3, false)
	if err != nil {
		return err
	}
	return expect(texts(seen), []string{"committed", "aborted", "committed too"}, "read_uncommitted")
}

// members are those of one group, and who of them has seen which record of the present round.
type members struct {
	lock  sync.Mutex
	seen  map[string]bool
	round map[int]int
	sent  int
	done  sync.WaitGroup
	err   error
}

func (m *members) start(ctx context.Context, lib library, number int, group, topic string) context.CancelFunc {
	inner, cancel := context.WithCancel(ctx)
	m.done.Go(func() {
		err := lib.join(inner, group, topic, func(r record) {
			m.lock.Lock()
			defer m.lock.Unlock()
			m.seen[r.value] = true
			m.round[number]++
		})
		m.lock.Lock()
		defer m.lock.Unlock()
		if err != nil && inner.Err() == nil {
			m.err = err
		}
	})
	return cancel
}

func (m *members) failure() error {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.err
}

// rounds sends one record to each partition again and again, until all of a round were seen by the members of a number and
// nobody else.
func (m *members) rounds(ctx context.Context, lib library, topic string, partitions, busy int) error {
	for {
		m.sent++
		m.lock.Lock()
		m.round = map[int]int{}
		m.lock.Unlock()
		var sent []record
		for p := range partitions {
			sent = append(sent, record{partition: p, value: fmt.Sprintf("round %d, %d", m.sent, p), timeMs: time.Now().UnixMilli()})
		}
		if err := lib.send(ctx, topic, "none", -1, sent); err != nil {
			return err
		}
		for {
			m.lock.Lock()
			all := true
			for _, r := range sent {
				all = all && m.seen[r.value]
			}
			sharing := len(m.round)
			m.lock.Unlock()
			if err := m.failure(); err != nil {
				return err
			}
			if all && sharing == busy {
				return nil
			}
			if all {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%d members: round %d was not seen", busy, m.sent)
			case <-time.After(10 * time.Millisecond):
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// group has one member, and one that comes later and goes on where it was.
func group(ctx context.Context, lib library, tag string) error {
	const partitions = 4
	if err := lib.create(ctx, tag, partitions, nil); err != nil {
		return err
	}
	m := &members{seen: map[string]bool{}, round: map[int]int{}}
	for number := range 2 {
		before := len(m.seen)
		m.seen = map[string]bool{}
		leave := m.start(ctx, lib, number, tag, tag)
		defer leave()
		for range 4 {
			if err := m.rounds(ctx, lib, tag, partitions, 1); err != nil {
				return err
			}
		}
		leave()
		m.done.Wait()
		if number == 1 && (before == 0 || len(m.seen) > partitions*5) {
			return fmt.Errorf("who came later saw %d records, some of them again", len(m.seen))
		}
	}
	return m.failure()
}

// rebalance has one member, two, and one.
func rebalance(ctx context.Context, lib library, tag string) error {
	const partitions = 4
	if err := lib.create(ctx, tag, partitions, nil); err != nil {
		return err
	}
	m := &members{seen: map[string]bool{}, round: map[int]int{}}
	first := m.start(ctx, lib, 1, tag, tag)
	defer first()
	if err := m.rounds(ctx, lib, tag, partitions, 1); err != nil {
		return err
	}
	second := m.start(ctx, lib, 2, tag, tag)
	defer second()
	if err := m.rounds(ctx, lib, tag, partitions, 2); err != nil {
		return err
	}
	first()
	if err := m.rounds(ctx, lib, tag, partitions, 1); err != nil {
		return err
	}
	second()
	m.done.Wait()
	return m.failure()
}

// next is both with the group protocol of KIP-848.
func next(ctx context.Context, lib library, tag string) error {
	if err := group(ctx, lib, tag); err != nil {
		return err
	}
	return rebalance(ctx, lib, tag+"-rebalance")
}

func admin(ctx context.Context, lib library, tag string) error {
	if err := lib.create(ctx, tag, 2, nil); err != nil {
		return err
	}
	if err := lib.send(ctx, tag, "none", -1, values(0, 20)); err != nil {
		return err
	}
	return lib.(administrative).administer(ctx, tag)
}

// restart sends and reads for some seconds, while somebody kills the broker once: what was acknowledged is read.
func restart(ctx context.Context, lib library, tag string) error {
	if err := lib.create(ctx, tag, 1, nil); err != nil {
		return err
	}
	m := &members{seen: map[string]bool{}, round: map[int]int{}}
	cancel := m.start(ctx, lib, 1, tag, tag)
	defer cancel()
	records := values(0, 300)
	for n := range records {
		// A library that gives up is asked again, as an application would.
		for lib.send(ctx, tag, "none", -1, records[n:n+1]) != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("sending number %d: %w", n, ctx.Err())
			}
		}
		time.Sleep(15 * time.Millisecond)
	}
	for {
		m.lock.Lock()
		seen := len(m.seen)
		m.lock.Unlock()
		if seen == len(records) {
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d were seen: %v", seen, len(records), m.failure())
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	m.done.Wait()
	return nil
}
