// Load generator of the benchmarks: raw produce requests, end-to-end latency, topics, and the first acknowledged record.
//
// It speaks just enough of the protocol to put a known load on any broker with little CPU of its own: the frame of a
// produce request is built once and sent again and again. Every command ends by itself: with one JSON object on stdout and
// status 0, or with the reason on stderr and status 1, at the latest some seconds after its planned time.
//
//	load produce -addr HOST:PORT -topic T -partitions P -connections C -inflight W -size BYTES -records N -seconds S
//	load latency -addr HOST:PORT -topic T -rate R -seconds S -size BYTES
//	load create  -addr HOST:PORT -topic T -count N -request M   topics T-0...T-(N-1), M in a request (N = 0: just T);
//	                                                            -ready: end when they can be used
//	load delete  -addr HOST:PORT -topic T -count N
//	load fill    -addr HOST:PORT -topic T -count N -size BYTES  one record into each of the topics of create
//	load first   -addr HOST:PORT -topic T -seconds S            try until one record is acknowledged; prints when
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand"
	"net"
	"os"
	"runtime/debug"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func uvarint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }
func varint(b []byte, v int64) []byte   { return binary.AppendVarint(b, v) }
func i16(b []byte, v int16) []byte      { return binary.BigEndian.AppendUint16(b, uint16(v)) }
func i32(b []byte, v int32) []byte      { return binary.BigEndian.AppendUint32(b, uint32(v)) }
func i64(b []byte, v int64) []byte      { return binary.BigEndian.AppendUint64(b, uint64(v)) }
func compact(b []byte, s string) []byte { return append(uvarint(b, uint64(len(s))+1), s...) }

// batch builds an uncompressed record batch v2 with n records of size bytes each, all with one timestamp.
func batch(n, size int, timestamp int64, fill func(i int, value []byte)) []byte {
	value := make([]byte, size)
	return recordBatch(n, timestamp, timestamp, func(r []byte, i int) []byte {
		clear(value)
		if fill != nil {
			fill(i, value)
		}
		r = append(r, 0)
		r = varint(r, 0)
		r = varint(r, int64(i))
		r = varint(r, -1)
		r = varint(r, int64(size))
		r = append(r, value...)
		return varint(r, 0)
	})
}

// recordBatch builds an uncompressed record batch v2 of n records; record appends what follows a record's length.
func recordBatch(n int, timestamp, latest int64, record func(r []byte, i int) []byte) []byte {
	var records, r []byte
	for i := 0; i < n; i++ {
		r = record(r[:0], i)
		records = varint(records, int64(len(r)))
		records = append(records, r...)
	}
	var tail []byte
	tail = i16(tail, 0)
	tail = i32(tail, int32(n-1))
	tail = i64(tail, timestamp)
	tail = i64(tail, latest)
	tail = i64(tail, -1)
	tail = i16(tail, -1)
	tail = i32(tail, -1)
	tail = i32(tail, int32(n))
	tail = append(tail, records...)
	var b []byte
	b = i64(b, 0)
	b = i32(b, int32(len(tail)+9))
	b = i32(b, 0)
	b = append(b, 2)
	b = i32(b, int32(crc32.Checksum(tail, castagnoli)))
	return append(b, tail...)
}

// keyed writes records with keys that come again, from one connection with five requests in flight. Values have
// between half and one and a half times the size, so that no two records in a row need be alike.
func keyed(args []string) {
	flags := flag.NewFlagSet("keyed", flag.ExitOnError)
	addr := flags.String("addr", "127.0.0.1:9092", "")
	topic := flags.String("topic", "load", "")
	size := flags.Int("size", 100, "")
	count := flags.Int("count", 1000, "")
	keys := flags.Int("keys", 100, "")
	records := flags.Int("records", 100, "records of a batch")
	_ = flags.Parse(args)
	conn := dial(*addr, 600)
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 64<<10)
	var scratch []byte
	take := func() {
		reply, err := readReply(reader, &scratch)
		if err != nil {
			fail(err)
		}
		if code := produceError(reply, *topic); code != 0 {
			fail(fmt.Errorf("produce answered error %d", code))
		}
	}
	random := rand.New(rand.NewSource(1))
	filler := make([]byte, 2**size)
	random.Read(filler)
	start := time.Now()
	waiting := 0
	for done := 0; done < *count; done += *records {
		n := min(*records, *count-done)
		now := start.UnixMilli() + int64(done/1000)
		content := recordBatch(n, now, now+int64((n-1)/8), func(r []byte, i int) []byte {
			key := fmt.Sprintf("key-%08d", random.Intn(*keys))
			r = append(r, 0)
			r = varint(r, int64(i/8))
			r = varint(r, int64(i))
			r = append(varint(r, int64(len(key))), key...)
			length := *size/2 + random.Intn(*size)
			r = append(varint(r, int64(length)), filler[:length]...)
			return varint(r, 0)
		})
		if _, err := conn.Write(produceFrame(*topic, 0, 1, content)); err != nil {
			fail(err)
		}
		if waiting++; waiting == 5 {
			take()
			waiting--
		}
	}
	for ; waiting > 0; waiting-- {
		take()
	}
	emit(map[string]any{"seconds": time.Since(start).Seconds()})
}

func header(key, version int16, correlation int32) []byte {
	var b []byte
	b = i16(b, key)
	b = i16(b, version)
	b = i32(b, correlation)
	b = i16(b, 4)
	b = append(b, "load"...)
	return append(b, 0)
}

func framed(body []byte) []byte { return append(i32(nil, int32(len(body))), body...) }

func produceFrame(topic string, partition int32, acks int16, records []byte) []byte {
	b := header(0, 9, 1)
	b = append(b, 0) // transactional id: null
	b = i16(b, acks)
	b = i32(b, 30000)
	b = append(b, 2)
	b = compact(b, topic)
	b = append(b, 2)
	b = i32(b, partition)
	b = append(uvarint(b, uint64(len(records))+1), records...)
	b = append(b, 0, 0, 0)
	return framed(b)
}

func readReply(r *bufio.Reader, scratch *[]byte) ([]byte, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(prefix[:]))
	if cap(*scratch) < n {
		*scratch = make([]byte, n)
	}
	buffer := (*scratch)[:n]
	_, err := io.ReadFull(r, buffer)
	return buffer, err
}

// produceError returns the error code of a one-partition Produce v9 answer.
func produceError(reply []byte, topic string) int16 {
	at := 4 + 1 + 1 + 1 + len(topic) + 1 + 4
	if at+2 > len(reply) {
		return -999
	}
	return int16(binary.BigEndian.Uint16(reply[at:]))
}

func percentile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q * float64(len(sorted)))
	if i >= len(sorted) {
		i = len(sorted) - 1
	}
	return float64(sorted[i].Nanoseconds()) / 1e6
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "load:", err)
	os.Exit(1)
}

func produce(args []string) {
	flags := flag.NewFlagSet("produce", flag.ExitOnError)
	addr := flags.String("addr", "127.0.0.1:9092", "")
	topic := flags.String("topic", "load", "")
	partitions := flags.Int("partitions", 1, "")
	connections := flags.Int("connections", 1, "")
	inflight := flags.Int("inflight", 1, "")
	size := flags.Int("size", 100, "")
	records := flags.Int("records", 1, "")
	seconds := flags.Float64("seconds", 5, "")
	warm := flags.Float64("warm", 1, "")
	acks := flags.Int("acks", 1, "")
	_ = flags.Parse(args)

	content := batch(*records, *size, time.Now().UnixMilli(), nil)
	var measuring, stopping atomic.Bool
	var requests, total atomic.Int64
	var group sync.WaitGroup
	latencies := make([][]time.Duration, *connections)
	for c := 0; c < *connections; c++ {
		conn := dial(*addr, *warm+*seconds+20)
		frame := produceFrame(*topic, int32(c%*partitions), int16(*acks), content)
		group.Add(1)
		go func(c int) {
			defer group.Done()
			defer conn.Close()
			reader := bufio.NewReaderSize(conn, 64<<10)
			var scratch []byte
			latencies[c] = make([]time.Duration, 0, 1<<20/(*connections))
			sent := make([]time.Time, 0, *inflight)
			var wire []byte
			for i := 0; i < *inflight; i++ {
				wire = append(wire, frame...)
				sent = append(sent, time.Now())
			}
			if _, err := conn.Write(wire); err != nil {
				fail(err)
			}
			for len(sent) > 0 {
				// Take every reply that is here, then send as many requests in one write.
				taken := 0
				for {
					reply, err := readReply(reader, &scratch)
					if err != nil {
						fail(err)
					}
					if code := produceError(reply, *topic); code != 0 {
						fail(fmt.Errorf("produce answered error %d", code))
					}
					total.Add(1)
					if measuring.Load() {
						requests.Add(1)
						latencies[c] = append(latencies[c], time.Since(sent[taken]))
					}
					taken++
					if taken == len(sent) || reader.Buffered() < 4 {
						break
					}
				}
				sent = append(sent[:0], sent[taken:]...)
				if stopping.Load() {
					continue
				}
				wire = wire[:0]
				now := time.Now()
				for i := 0; i < taken; i++ {
					wire = append(wire, frame...)
					sent = append(sent, now)
				}
				if _, err := conn.Write(wire); err != nil {
					fail(err)
				}
			}
		}(c)
	}
	time.Sleep(time.Duration(*warm * float64(time.Second)))
	measuring.Store(true)
	start := time.Now()
	time.Sleep(time.Duration(*seconds * float64(time.Second)))
	measuring.Store(false)
	elapsed := time.Since(start).Seconds()
	stopping.Store(true)
	group.Wait()
	var all []time.Duration
	for _, each := range latencies {
		all = append(all, each...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	rate := float64(requests.Load()) / elapsed
	emit(map[string]any{
		"requests_per_s": rate,
		"total_requests": total.Load(),
		"mb_per_s":       rate * float64(len(content)) / 1e6,
		"p50_ms":         percentile(all, 0.50),
		"p99_ms":         percentile(all, 0.99),
		"p999_ms":        percentile(all, 0.999),
	})
}

func fetchFrame(topic string, offset int64) []byte {
	b := header(1, 12, 2)
	b = i32(b, -1)    // replica id
	b = i32(b, 500)   // max wait
	b = i32(b, 1)     // min bytes
	b = i32(b, 1<<24) // max bytes
	b = append(b, 0)  // isolation level
	b = i32(b, 0)     // session id
	b = i32(b, -1)    // session epoch
	b = append(b, 2)
	b = compact(b, topic)
	b = append(b, 2)
	b = i32(b, 0)
	b = i32(b, -1)
	b = i64(b, offset)
	b = i32(b, -1)
	b = i64(b, -1)
	b = i32(b, 1<<20)
	b = append(b, 0, 0)
	b = append(b, 1) // no forgotten topics
	b = append(b, 1) // rack: empty
	b = append(b, 0)
	return framed(b)
}

// latency: one producer at a fixed rate, one consumer in a long poll; each value starts with its send time.
func latency(args []string) {
	flags := flag.NewFlagSet("latency", flag.ExitOnError)
	addr := flags.String("addr", "127.0.0.1:9092", "")
	topic := flags.String("topic", "latency", "")
	rate := flags.Int("rate", 1000, "")
	seconds := flags.Int("seconds", 10, "")
	warm := flags.Int("warm", 3, "")
	size := flags.Int("size", 100, "")
	_ = flags.Parse(args)

	total := *rate * (*seconds + *warm)
	skip := *rate * *warm
	producer := dial(*addr, float64(*warm+*seconds+20))
	consumer := dial(*addr, float64(*warm+*seconds+20))
	go func() {
		reader := bufio.NewReader(producer)
		var scratch []byte
		for {
			reply, err := readReply(reader, &scratch)
			if err != nil {
				return
			}
			if code := produceError(reply, *topic); code != 0 {
				fail(fmt.Errorf("produce answered error %d", code))
			}
		}
	}()
	start := time.Now()
	go func() {
		for i := 0; i < total; i++ {
			due := start.Add(time.Duration(i) * time.Second / time.Duration(*rate))
			if wait := time.Until(due); wait > 0 {
				time.Sleep(wait)
			}
			content := batch(1, *size, time.Now().UnixMilli(), func(_ int, value []byte) {
				binary.BigEndian.PutUint64(value, uint64(time.Since(start).Nanoseconds()))
			})
			if _, err := producer.Write(produceFrame(*topic, 0, 1, content)); err != nil {
				fail(err)
			}
		}
	}()
	var all []time.Duration
	reader := bufio.NewReaderSize(consumer, 1<<20)
	var scratch []byte
	var offset int64
	seen := 0
	limit := time.Now().Add(time.Duration(*seconds+*warm+20) * time.Second)
	for seen < total {
		if time.Now().After(limit) {
			fail(fmt.Errorf("received %d of %d records in time", seen, total))
		}
		if _, err := consumer.Write(fetchFrame(*topic, offset)); err != nil {
			fail(err)
		}
		reply, err := readReply(reader, &scratch)
		if err != nil {
			fail(err)
		}
		now := time.Since(start)
		// correlation, tags, throttle, error, session, topics, name, partitions, index, error, hw, lso, start
		at := 4 + 1 + 4 + 2 + 4 + 1 + 1 + len(*topic) + 1 + 4 + 2 + 8 + 8 + 8
		if at+6 > len(reply) {
			fail(fmt.Errorf("fetch answered only %d bytes", len(reply)))
		}
		if code := int16(binary.BigEndian.Uint16(reply[at-26:])); code != 0 {
			fail(fmt.Errorf("fetch answered error %d", code))
		}
		// aborted transactions (null: 0; empty: 1), preferred replica
		at += 1 + 4
		length, n := binary.Uvarint(reply[at:])
		at += n
		end := at + int(length) - 1
		for at+61 <= end {
			size := int(binary.BigEndian.Uint32(reply[at+8:])) + 12
			if at+size > end {
				break
			}
			delta := int64(binary.BigEndian.Uint32(reply[at+23:]))
			record := at + 61
			_, k := binary.Varint(reply[record:]) // length
			record += k + 1
			for i := 0; i < 4; i++ { // timestamp delta, offset delta, key length, value length
				_, k = binary.Varint(reply[record:])
				record += k
			}
			sent := time.Duration(binary.BigEndian.Uint64(reply[record:]))
			seen++
			if seen > skip {
				all = append(all, now-sent)
			}
			offset = int64(binary.BigEndian.Uint64(reply[at:])) + delta + 1
			at += size
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	emit(map[string]any{
		"records":       len(all),
		"total_records": total,
		"p50_ms":        percentile(all, 0.50),
		"p99_ms":        percentile(all, 0.99),
		"p999_ms":       percentile(all, 0.999),
	})
}

// dial connects, with a deadline for everything that is ever done on the connection.
func dial(addr string, seconds float64) net.Conn {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		fail(err)
	}
	_ = conn.SetDeadline(time.Now().Add(time.Duration(seconds * float64(time.Second))))
	return conn
}

func text(b []byte, s string) []byte { return append(i16(b, int16(len(s))), s...) }

func oldHeader(key, version int16) []byte { return text(i32(i16(i16(nil, key), version), 3), "load") }

func call(conn net.Conn, body []byte) []byte {
	if _, err := conn.Write(framed(body)); err != nil {
		fail(err)
	}
	var scratch []byte
	reply, err := readReply(bufio.NewReader(conn), &scratch)
	if err != nil {
		fail(err)
	}
	return reply
}

// topicNames are the topics of create, delete and fill.
func topicNames(topic string, count int) []string {
	if count == 0 {
		return []string{topic}
	}
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", topic, i)
	}
	return names
}

// checkTopics fails unless the answer (throttle time, topics of name, error and, when told, message) holds only successes.
func checkTopics(what string, reply []byte, messages bool) {
	at := 8
	count := int(binary.BigEndian.Uint32(reply[at:]))
	at += 4
	for i := 0; i < count; i++ {
		n := int(binary.BigEndian.Uint16(reply[at:]))
		name := string(reply[at+2 : at+2+n])
		at += 2 + n
		if code := int16(binary.BigEndian.Uint16(reply[at:])); code != 0 {
			fail(fmt.Errorf("%s of %s answered error %d", what, name, code))
		}
		at += 2
		if messages {
			if n := int(int16(binary.BigEndian.Uint16(reply[at:]))); n > 0 {
				at += n
			}
			at += 2
		}
	}
}

// awaitPartitions asks for the end offsets until there is no error: a broker may announce a topic before it can use it.
func awaitPartitions(conn net.Conn, name string, partitions int) {
	b := i32(text(i32(i32(oldHeader(2, 1), -1), 1), name), int32(partitions))
	for i := 0; i < partitions; i++ {
		b = i64(i32(b, int32(i)), -1)
	}
	for {
		reply := call(conn, b)
		at := 4 + 4 + 2 + len(name) + 4
		code := int16(0)
		for i := 0; i < partitions && code == 0; i++ {
			code = int16(binary.BigEndian.Uint16(reply[at+4:]))
			at += 4 + 2 + 8 + 8
		}
		if code == 0 {
			return
		}
		if code != 3 && code != 5 && code != 6 {
			fail(fmt.Errorf("offsets of %s answered error %d", name, code))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func create(args []string) {
	flags := flag.NewFlagSet("create", flag.ExitOnError)
	addr := flags.String("addr", "127.0.0.1:9092", "")
	topic := flags.String("topic", "load", "")
	partitions := flags.Int("partitions", 1, "")
	count := flags.Int("count", 0, "")
	request := flags.Int("request", 1, "")
	ready := flags.Bool("ready", false, "end only when every partition can be used")
	_ = flags.Parse(args)
	names := topicNames(*topic, *count)
	conn := dial(*addr, 90)
	start := time.Now()
	for at := 0; at < len(names); at += *request {
		part := names[at:min(at+*request, len(names))]
		b := i32(oldHeader(19, 4), int32(len(part)))
		for _, name := range part {
			b = i16(i32(text(b, name), int32(*partitions)), 1)
			b = i32(i32(b, 0), 0) // no assignments, no configs
		}
		b = append(i32(b, 60000), 0)
		checkTopics("creation", call(conn, b), true)
	}
	seconds := time.Since(start).Seconds()
	for at := 0; *ready && at < len(names); at++ {
		awaitPartitions(conn, names[at], *partitions)
	}
	emit(map[string]any{"seconds": seconds, "topics_per_s": float64(len(names)) / seconds})
}

func remove(args []string) {
	flags := flag.NewFlagSet("delete", flag.ExitOnError)
	addr := flags.String("addr", "127.0.0.1:9092", "")
	topic := flags.String("topic", "load", "")
	count := flags.Int("count", 0, "")
	_ = flags.Parse(args)
	names := topicNames(*topic, *count)
	conn := dial(*addr, 60)
	start := time.Now()
	b := i32(oldHeader(20, 3), int32(len(names)))
	for _, name := range names {
		b = text(b, name)
	}
	checkTopics("deletion", call(conn, i32(b, 60000)), false)
	emit(map[string]any{"seconds": time.Since(start).Seconds()})
}

func fill(args []string) {
	flags := flag.NewFlagSet("fill", flag.ExitOnError)
	addr := flags.String("addr", "127.0.0.1:9092", "")
	topic := flags.String("topic", "load", "")
	count := flags.Int("count", 0, "")
	size := flags.Int("size", 100, "")
	_ = flags.Parse(args)
	content := batch(1, *size, time.Now().UnixMilli(), nil)
	conn := dial(*addr, 60)
	for _, name := range topicNames(*topic, *count) {
		if code := produceError(call(conn, produceFrame(name, 0, 1, content)[4:]), name); code != 0 {
			fail(fmt.Errorf("produce to %s answered error %d", name, code))
		}
	}
	emit(map[string]any{})
}

// first connects again and again, asks for the topic (which creates it), and writes one record.
func first(args []string) {
	flags := flag.NewFlagSet("first", flag.ExitOnError)
	addr := flags.String("addr", "127.0.0.1:9092", "")
	topic := flags.String("topic", "first", "")
	seconds := flags.Float64("seconds", 30, "")
	_ = flags.Parse(args)
	frame := produceFrame(*topic, 0, 1, batch(1, 100, time.Now().UnixMilli(), nil))
	metadata := append(text(i32(oldHeader(3, 4), 1), *topic), 1)
	limit := time.Now().Add(time.Duration(*seconds * float64(time.Second)))
	reason := "nothing listens"
	for time.Now().Before(limit) {
		acknowledged, err := tryFirst(*addr, *topic, framed(metadata), frame, limit)
		if err == nil {
			emit(map[string]any{"acknowledged_at": float64(acknowledged.UnixNano()) / 1e9})
			return
		}
		reason = err.Error()
		time.Sleep(2 * time.Millisecond)
	}
	fail(fmt.Errorf("no record acknowledged in time: %s", reason))
}

func tryFirst(addr, topic string, metadata, frame []byte, limit time.Time) (time.Time, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return time.Time{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(limit)
	reader := bufio.NewReader(conn)
	var scratch []byte
	for {
		for _, request := range [][]byte{metadata, frame} {
			if _, err := conn.Write(request); err != nil {
				return time.Time{}, err
			}
			if _, err := readReply(reader, &scratch); err != nil {
				return time.Time{}, err
			}
		}
		if produceError(scratch, topic) == 0 {
			return time.Now(), nil
		}
		time.Sleep(time.Millisecond)
	}
}

func emit(value any) {
	if err := json.NewEncoder(os.Stdout).Encode(value); err != nil {
		fail(err)
	}
}

func main() {
	debug.SetGCPercent(400)
	commands := map[string]func([]string){
		"produce": produce, "latency": latency, "create": create, "delete": remove, "fill": fill, "first": first,
		"keyed": keyed,
	}
	if len(os.Args) > 1 && commands[os.Args[1]] != nil {
		commands[os.Args[1]](os.Args[2:])
		return
	}
	fmt.Fprintln(os.Stderr, "usage: load produce|keyed|latency|create|delete|fill|first [flags]")
	os.Exit(2)
}
