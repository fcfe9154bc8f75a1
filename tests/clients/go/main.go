// The franz-go client behind the interface of ../programs.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const limit = 16 << 20

type header [2]any

// Bytes are base64 text or null in JSON; []byte is just that.
type record struct {
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	Timestamp int64             `json:"timestamp"`
	Key       []byte            `json:"key"`
	Value     []byte            `json:"value"`
	Headers   []json.RawMessage `json:"headers"`
}

type request struct {
	Op         string            `json:"op"`
	Bootstrap  string            `json:"bootstrap"`
	Topic      string            `json:"topic"`
	Partitions int32             `json:"partitions"`
	Partition  int32             `json:"partition"`
	Total      int               `json:"total"`
	Offset     int64             `json:"offset"`
	Count      int               `json:"count"`
	Timestamp  int64             `json:"timestamp"`
	Configs    map[string]string `json:"configs"`
	Codec      string            `json:"codec"`
	Idempotent bool              `json:"idempotent"`
	Records    []record          `json:"records"`
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
			answers.Encode(map[string]any{"error": err.Error()})
			continue
		}
		result, err := run(r)
		if err != nil {
			answers.Encode(map[string]any{"error": err.Error()})
		} else {
			answers.Encode(map[string]any{"result": result})
		}
	}
}

func run(r request) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	switch r.Op {
	case "produce":
		return produce(ctx, r)
	case "consume":
		return consume(ctx, r)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(r.Bootstrap))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	switch r.Op {
	case "create_topic":
		configs := make(map[string]*string)
		for name, value := range r.Configs {
			configs[name] = kadm.StringPtr(value)
		}
		_, err := admin.CreateTopic(ctx, r.Partitions, 1, configs, r.Topic)
		return nil, err
	case "list_topics":
		topics, err := admin.ListTopics(ctx)
		return topics.Names(), err
	case "describe_topic":
		topics, err := admin.ListTopics(ctx, r.Topic)
		if err != nil {
			return nil, err
		}
		if err := topics[r.Topic].Err; err != nil {
			return nil, err
		}
		partitions := []any{}
		for _, p := range topics[r.Topic].Partitions.Sorted() {
			partitions = append(partitions, map[string]any{
				"partition": p.Partition, "leader": p.Leader, "replicas": p.Replicas, "isr": p.ISR})
		}
		return partitions, nil
	case "describe_config":
		resources, err := admin.DescribeTopicConfigs(ctx, r.Topic)
		if err != nil {
			return nil, err
		}
		resource, err := resources.On(r.Topic, nil)
		if err != nil {
			return nil, err
		}
		if resource.Err != nil {
			return nil, resource.Err
		}
		values := make(map[string]*string)
		for _, config := range resource.Configs {
			values[config.Key] = config.Value
		}
		return values, nil
	case "alter_config":
		var changes []kadm.AlterConfig
		for name, value := range r.Configs {
			changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: kadm.StringPtr(value)})
		}
		responses, err := admin.AlterTopicConfigs(ctx, changes, r.Topic)
		if err != nil {
			return nil, err
		}
		response, err := responses.On(r.Topic, nil)
		if err != nil {
			return nil, err
		}
		return nil, response.Err
	case "create_partitions":
		responses, err := admin.UpdatePartitions(ctx, r.Total, r.Topic)
		if err != nil {
			return nil, err
		}
		return nil, responses.Error()
	case "delete_records":
		offsets := make(kadm.Offsets)
		offsets.AddOffset(r.Topic, r.Partition, r.Offset, -1)
		responses, err := admin.DeleteRecords(ctx, offsets)
		if err != nil {
			return nil, err
		}
		response, _ := responses.Lookup(r.Topic, r.Partition)
		return response.LowWatermark, response.Err
	case "delete_topic":
		response, err := admin.DeleteTopic(ctx, r.Topic)
		if err != nil {
			return nil, err
		}
		return nil, response.Err
	case "describe_cluster":
		metadata, err := admin.BrokerMetadata(ctx)
		if err != nil {
			return nil, err
		}
		nodes := []any{}
		for _, node := range metadata.Brokers {
			nodes = append(nodes, []any{node.NodeID, node.Host, node.Port})
		}
		return map[string]any{"cluster_id": metadata.Cluster, "controller": metadata.Controller, "nodes": nodes}, nil
	case "offsets":
		first, err := admin.ListStartOffsets(ctx, r.Topic)
		if err != nil {
			return nil, err
		}
		last, err := admin.ListEndOffsets(ctx, r.Topic)
		if err != nil {
			return nil, err
		}
		start, _ := first.Lookup(r.Topic, r.Partition)
		end, _ := last.Lookup(r.Topic, r.Partition)
		return []int64{start.Offset, end.Offset}, end.Err
	case "offset_for_timestamp":
		// The library itself turns "no such record" into the end of the partition, with the timestamp -1.
		listed, err := admin.ListOffsetsAfterMilli(ctx, r.Timestamp, r.Topic)
		if err != nil {
			return nil, err
		}
		found, _ := listed.Lookup(r.Topic, r.Partition)
		if found.Timestamp == -1 {
			return -1, found.Err
		}
		return found.Offset, found.Err
	}
	return nil, fmt.Errorf("unknown operation %q", r.Op)
}

func produce(ctx context.Context, r request) (any, error) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	options := []kgo.Opt{
		kgo.SeedBrokers(r.Bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[r.Codec]), kgo.ProducerBatchMaxBytes(limit),
		kgo.ProducerLinger(5 * time.Millisecond), kgo.BrokerMaxWriteBytes(2 * limit)}
	if !r.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	records := make([]*kgo.Record, len(r.Records))
	for i, one := range r.Records {
		records[i] = &kgo.Record{Topic: r.Topic, Partition: one.Partition, Key: one.Key, Value: one.Value,
			Timestamp: time.UnixMilli(one.Timestamp)}
		for _, raw := range one.Headers {
			var name string
			var value []byte
			if err := json.Unmarshal(raw, &[]any{&name, &value}); err != nil {
				return nil, err
			}
			records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: name, Value: value})
		}
	}
	offsets := make([]int64, len(records))
	for _, result := range client.ProduceSync(ctx, records...) {
		if result.Err != nil {
			return nil, result.Err
		}
	}
	for i, one := range records {
		offsets[i] = one.Offset
	}
	return offsets, nil
}

func consume(ctx context.Context, r request) (any, error) {
	offset := kgo.NewOffset().At(r.Offset)
	if r.Offset == -2 {
		offset = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(r.Bootstrap), kgo.FetchMaxPartitionBytes(limit),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.Topic: {r.Partition: offset}}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	records := []map[string]any{}
	for len(records) < r.Count {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			break
		}
		for _, failed := range fetches.Errors() {
			return nil, failed.Err
		}
		fetches.EachRecord(func(one *kgo.Record) {
			headers := []header{}
			for _, h := range one.Headers {
				headers = append(headers, header{h.Key, h.Value})
			}
			records = append(records, map[string]any{"partition": one.Partition, "offset": one.Offset,
				"timestamp": one.Timestamp.UnixMilli(), "key": one.Key, "value": one.Value, "headers": headers})
		})
	}
	return records, nil
}
