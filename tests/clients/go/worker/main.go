// A worker of tests/checker on franz-go: the operations of ../../../checker/programs.md. Its transactions are those of a
// GroupTransactSession, so it always subscribes, and the positions go with the commit.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const call = 8 * time.Second

type entry struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

type request struct {
	Op            string   `json:"op"`
	Bootstrap     string   `json:"bootstrap"`
	Transactional string   `json:"transactional"`
	Topic         string   `json:"topic"`
	Topics        []string `json:"topics"`
	Partition     int32    `json:"partition"`
	Value         string   `json:"value"`
	Number        int      `json:"number"`
	Count         int      `json:"count"`
	Ms            int      `json:"ms"`
	Positions     []entry  `json:"positions"`
}

type answer struct {
	Value      any      `json:"value"`
	Delivered  [][2]any `json:"delivered"`
	Rebalanced []entry  `json:"rebalanced"`
	Failed     string   `json:"failed,omitempty"`
	Retriable  bool     `json:"retriable"`
	Abortable  bool     `json:"abortable"`
}

var (
	opened  request
	session *kgo.GroupTransactSession
	client  *kgo.Client

	mutex      sync.Mutex
	delivered  [][2]any
	rebalanced []entry
	sendFailed error
	ended      bool
)

var errAborted = errors.New("aborted, because the group changed")

func changed(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	mutex.Lock()
	defer mutex.Unlock()
	for topic, indexes := range partitions {
		for _, index := range indexes {
			rebalanced = append(rebalanced, entry{topic, index, 0})
		}
	}
}

func subscribe(topics []string) error {
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(opened.Bootstrap, ",")...),
		kgo.ConsumerGroup("workers"), kgo.ConsumeTopics(topics...), kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.RangeBalancer()), kgo.SessionTimeout(3 * time.Second),
		kgo.HeartbeatInterval(500 * time.Millisecond), kgo.RebalanceTimeout(5 * time.Second),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(50 * time.Millisecond), kgo.RequireStableFetchOffsets(),
		kgo.OnPartitionsAssigned(changed), kgo.OnPartitionsRevoked(changed), kgo.OnPartitionsLost(changed),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordDeliveryTimeout(6 * time.Second), kgo.ProduceRequestTimeout(3 * time.Second),
		kgo.MetadataMinAge(250 * time.Millisecond), kgo.RetryTimeout(6 * time.Second),
	}
	var err error
	if opened.Transactional == "" {
		if client != nil {
			client.Close()
		}
		client, err = kgo.NewClient(options...)
		return err
	}
	options = append(options, kgo.TransactionalID(opened.Transactional), kgo.TransactionTimeout(6*time.Second))
	if session != nil {
		session.Close()
	}
	session, err = kgo.NewGroupTransactSession(options...)
	if err == nil {
		client = session.Client()
	}
	return err
}

func end(ctx context.Context, try kgo.TransactionEndTry) error {
	if ended {
		return nil
	}
	if bool(try) {
		// A commit of only a part of what was sent would not be what was asked for.
		if err := client.Flush(ctx); err != nil {
			return err
		}
		mutex.Lock()
		err := sendFailed
		mutex.Unlock()
		if err != nil {
			return err
		}
	}
	committed, err := session.End(ctx, try)
	if err != nil {
		return err
	}
	ended = true
	if bool(try) && !committed {
		return errAborted
	}
	return nil
}

func positions(entries []entry) map[string]map[int32]kgo.EpochOffset {
	offsets := make(map[string]map[int32]kgo.EpochOffset)
	for _, one := range entries {
		if offsets[one.Topic] == nil {
			offsets[one.Topic] = make(map[int32]kgo.EpochOffset)
		}
		offsets[one.Topic][one.Partition] = kgo.EpochOffset{Epoch: -1, Offset: one.Offset}
	}
	return offsets
}

func run(r request) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), call)
	defer cancel()
	switch r.Op {
	case "open":
		opened = r
		return nil, nil
	case "init":
		// The first transaction asks for the producer's id.
		return nil, nil
	case "subscribe":
		return nil, subscribe(r.Topics)
	case "begin":
		mutex.Lock()
		sendFailed, ended = nil, false
		mutex.Unlock()
		return nil, session.Begin()
	case "send":
		record := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Value: []byte(r.Value)}
		client.Produce(context.Background(), record, func(one *kgo.Record, err error) {
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil {
				sendFailed = err
			} else {
				delivered = append(delivered, [2]any{r.Number, one.Offset})
			}
		})
		return nil, nil
	case "flush":
		return nil, client.Flush(ctx)
	case "poll":
		waited, stop := context.WithTimeout(ctx, time.Duration(r.Ms)*time.Millisecond)
		defer stop()
		records := [][]any{}
		fetches := client.PollRecords(waited, r.Count)
		var failed error
		fetches.EachRecord(func(one *kgo.Record) {
			value, err := strconv.Atoi(string(one.Value))
			if err != nil {
				failed = err
			}
			records = append(records, []any{one.Topic, one.Partition, one.Offset, value})
		})
		return records, failed
	case "commit_positions":
		var failed error
		client.CommitOffsetsSync(ctx, positions(r.Positions), nil)
		// What was committed is what the client now holds for committed.
		held := client.CommittedOffsets()
		for _, one := range r.Positions {
			if held[one.Topic][one.Partition].Offset != one.Offset {
				failed = errors.New("not committed")
			}
		}
		return nil, failed
	case "seek":
		// A session goes back by itself when its transaction is aborted.
		if session == nil {
			client.SetOffsets(positions(r.Positions))
		}
		return nil, nil
	case "offsets":
		return nil, nil
	case "commit":
		return nil, end(ctx, kgo.TryCommit)
	case "abort":
		return nil, end(ctx, kgo.TryAbort)
	}
	return nil, errors.New("unknown operation " + r.Op)
}

func main() {
	requests := bufio.NewReaderSize(os.Stdin, 1<<20)
	answers := json.NewEncoder(os.Stdout)
	for {
		line, err := requests.ReadBytes('\n')
		if err != nil {
			return
		}
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			panic(err)
		}
		var a answer
		a.Value, err = run(r)
		if err != nil {
			a.Failed = err.Error()
			a.Abortable = !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidProducerEpoch) &&
				!errors.Is(err, context.DeadlineExceeded)
		}
		mutex.Lock()
		a.Delivered, a.Rebalanced = delivered, rebalanced
		delivered, rebalanced = nil, nil
		mutex.Unlock()
		answers.Encode(map[string]any{"result": a})
	}
}
