package integration

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/seedtest"
)

var smoke = &program{pkg: "./smoke"}

// smokeTest is one run of Kafka's smoke test for Streams: its input, two processes that
// run its topology, and its judgement of the output. The facts are those of
// org.apache.kafka.streams.tests.SmokeTestDriver, version 4.3.1.
type smokeTest struct {
	t           *testing.T
	c           *cluster
	rng         *rand.Rand
	application string
	prefix      string // of all topics
	dirs        [2]string
	running     [2]*process
	keys        map[string]span
	values      []smokeRecord // what is left to produce, in order
	now         time.Time     // event time
}

// span is the smallest and the largest value of a key. Each value between them comes
// once.
type span struct{ low, high int64 }

func (s span) number() int64 { return s.high - s.low + 1 }
func (s span) sum() int64    { return (s.low + s.high) * s.number() / 2 }

type smokeRecord struct {
	key   string
	value int32
}

const smokePartitions = 4

// smokeTables are the topics that the topology also reads as tables.
var smokeTables = []string{"min", "max", "sum", "cnt"}

var smokeTopics = append([]string{"data", "echo", "min-raw", "min-suppressed", "sws-raw", "sws-suppressed", "dif", "avg", "tagg"}, smokeTables...)

// TestSmoke: processes with the topology of Kafka's smoke test are killed at random,
// every second time with the loss of the disk. The output passes the checks of Kafka's
// driver. Kafka's own driver can judge the same program, see docs/kafka-streams.md.
func TestSmoke(t *testing.T) {
	t.Parallel()
	kills, perKey := 3, 300
	if os.Getenv("MILLRACE_TORTURE") == "full" {
		kills, perKey = 24, 2000
	}
	s := &smokeTest{t: t, c: kafka(t), rng: seedtest.Rand(t, "./integration"), application: name(t, "app"), keys: map[string]span{}, now: smokeStart()}
	s.prefix = s.application + "."
	for _, topic := range smokeTopics {
		s.c.createTopic(t, s.prefix+topic, smokePartitions)
	}
	s.c.cleanUp(t, s.application)
	s.generate(10, perKey)
	for i := range s.running {
		s.dirs[i] = filepath.Join(t.TempDir(), "state")
		s.start(i)
	}
	for k := range kills {
		s.produce(len(s.values) / (kills + 1 - k))
		s.kill(s.rng.IntN(len(s.running)), k%2 == 1)
	}
	s.produce(len(s.values))
	s.flush()
	s.finish()
	s.judge()
}

// generate gives key i the values from i, in an order that is shuffled a little, and
// mixes the keys.
func (s *smokeTest) generate(keys, perKey int) {
	left := make([][]smokeRecord, keys)
	for low := range left {
		values := make([]smokeRecord, perKey)
		of := span{int64(low), int64(low + perKey - 1)}
		key := fmt.Sprintf("%d-%d", of.low, of.high)
		s.keys[key] = of
		for i := range values {
			values[i] = smokeRecord{key, int32(low + i)}
		}
		for i := range values {
			const far = 10
			j := i + s.rng.IntN(min(len(values)-i, far))
			values[i], values[j] = values[j], values[i]
		}
		left[low] = values
	}
	for len(left) > 0 {
		i := s.rng.IntN(len(left))
		s.values = append(s.values, left[i][0])
		if left[i] = left[i][1:]; len(left[i]) == 0 {
			left[i] = left[len(left)-1]
			left = left[:len(left)-1]
		}
	}
}

func (s *smokeTest) start(i int) {
	s.running[i] = start(s.t, smoke, "-brokers", s.c.brokers, "-app", s.application, "-prefix", s.prefix, "-state-dir", s.dirs[i])
}

// kill kills a process at a random time and starts it again.
func (s *smokeTest) kill(i int, loseDisk bool) {
	// a new identity waits for the session of the old one
	s.running[i].line("state running")
	pause(time.Duration(s.rng.IntN(800)) * time.Millisecond)
	s.running[i].kill()
	if loseDisk {
		if err := os.RemoveAll(s.dirs[i]); err != nil {
			s.t.Fatal(err)
		}
	}
	s.start(i)
}

// produce sends the next n records, a few milliseconds apart in event time.
func (s *smokeTest) produce(n int) {
	s.t.Helper()
	client := s.c.client(s.t, kgo.DefaultProduceTopic(s.prefix+"data"))
	for _, r := range s.values[:n] {
		value := binary.BigEndian.AppendUint32(nil, uint32(r.value))
		s.now = s.now.Add(7 * time.Millisecond)
		client.Produce(s.t.Context(), &kgo.Record{Key: []byte(r.key), Value: value, Timestamp: s.now}, nil)
	}
	if err := client.Flush(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.values = s.values[n:]
}

// smokeShift is two days, by which the driver moves its records into the past. It is also
// the size of the largest windows.
const smokeShift = 48 * time.Hour

// smokeStart is the event time of the first record: the beginning of a window of two
// days, so that the test has one window for each key whenever it runs.
func smokeStart() time.Time {
	at := time.Now().Add(-smokeShift).UnixMilli()
	return time.UnixMilli(at - at%smokeShift.Milliseconds())
}

// flush closes all windows that may be closed: it sends a record of the present to each
// partition.
func (s *smokeTest) flush() {
	client := s.c.client(s.t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for p := range int32(smokePartitions) {
		r := &kgo.Record{Topic: s.prefix + "data", Partition: p, Key: []byte("flush"), Value: make([]byte, 4), Timestamp: time.Now()}
		if err := client.ProduceSync(s.t.Context(), r).FirstErr(); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *smokeTest) finish() {
	s.t.Helper()
	inputs := []string{s.prefix + "data", s.application + "-by-count-repartition"}
	for _, topic := range smokeTables {
		inputs = append(inputs, s.prefix+topic)
	}
	s.c.drained(s.t, s.running[:], s.application, inputs...)
	for _, p := range s.running {
		p.stop()
		if wiped := p.wiped(); len(wiped) > 0 {
			s.t.Errorf("state was wiped: %v", wiped)
		}
	}
	for _, topic := range smokeTopics {
		s.c.timedOut(s.t, s.prefix+topic)
	}
}

// judge applies the driver's checks: each value is echoed once, each closed window is
// sent once, and the last result of each key is right.
func (s *smokeTest) judge() {
	echoed := map[smokeRecord]int{}
	s.c.committed(s.t, s.prefix+"echo", func(r *kgo.Record) {
		echoed[smokeRecord{string(r.Key), int32(s.number("echo", r.Value))}]++
	})
	for key, of := range s.keys {
		for v := of.low; v <= of.high; v++ {
			if n := echoed[smokeRecord{key, int32(v)}]; n != 1 {
				s.t.Errorf("echo: value %d of %s came %d times", v, key, n)
			}
		}
	}
	s.judgeLast("min", func(of span) float64 { return float64(of.low) })
	s.judgeLast("max", func(of span) float64 { return float64(of.high) })
	s.judgeLast("dif", func(of span) float64 { return float64(of.high - of.low) })
	s.judgeLast("sum", func(of span) float64 { return float64(of.sum()) })
	s.judgeLast("cnt", func(of span) float64 { return float64(of.number()) })
	s.judgeLast("avg", func(of span) float64 { return float64(of.sum()) / float64(of.number()) })
	s.judgeGroups()
	if days := s.judgeClosed("min"); days != len(s.keys) {
		s.t.Errorf("%d days were closed, want one for each of %d keys", days, len(s.keys))
	}
	s.judgeClosed("sws")
}

// number decodes a value of a topic.
func (s *smokeTest) number(topic string, value []byte) float64 {
	switch size := map[string]int{"sum": 8, "cnt": 8, "tagg": 8, "avg": 8}[topic]; {
	case topic == "avg" && len(value) == size:
		return math.Float64frombits(binary.BigEndian.Uint64(value))
	case size == 8 && len(value) == size:
		return float64(int64(binary.BigEndian.Uint64(value)))
	case size == 0 && len(value) == 4:
		return float64(int32(binary.BigEndian.Uint32(value)))
	}
	s.t.Fatalf("%s has the value %x", topic, value)
	return 0
}

// all returns the committed values of a topic by key, in their order.
func (s *smokeTest) all(topic string) map[string][]float64 {
	got := map[string][]float64{}
	s.c.committed(s.t, s.prefix+topic, func(r *kgo.Record) {
		got[string(r.Key)] = append(got[string(r.Key)], s.number(topic, r.Value))
	})
	return got
}

func (s *smokeTest) judgeLast(topic string, want func(span) float64) {
	s.t.Helper()
	got := s.all(topic)
	if len(got) != len(s.keys) {
		s.t.Errorf("%s has %d keys, want %d", topic, len(got), len(s.keys))
	}
	for key, of := range s.keys {
		if values := got[key]; len(values) == 0 || values[len(values)-1] != want(of) {
			s.t.Errorf("%s of %s ends with %v, want %v", topic, key, values, want(of))
		}
	}
}

// judgeGroups checks the number of keys by their count: all have the same count.
func (s *smokeTest) judgeGroups() {
	want := map[string]float64{}
	for _, of := range s.keys {
		want[strconv.FormatInt(of.number(), 10)]++
	}
	got := s.all("tagg")
	for key, values := range got {
		if last := values[len(values)-1]; last != want[key] {
			s.t.Errorf("tagg of %s ends with %v, want %v", key, last, want[key])
		}
	}
	if len(got) == 0 {
		s.t.Error("tagg is empty")
	}
}

var windowedKey = regexp.MustCompile(`^\[(.*)@\d+/\d+\]$`)

// judgeClosed checks that each window was sent once, with the last value of its updates.
// It returns the number of windows.
func (s *smokeTest) judgeClosed(topic string) (windows int) {
	updates, closed := s.all(topic+"-raw"), s.all(topic+"-suppressed")
	if len(closed) < len(s.keys) || len(closed) != len(updates) {
		s.t.Errorf("%s: %d windows were closed of %d", topic, len(closed), len(updates))
	}
	for key, values := range closed {
		all := updates[key]
		if len(values) != 1 || len(all) == 0 || values[0] != all[len(all)-1] {
			s.t.Errorf("%s: the window %s was closed with %v, its updates end with %v", topic, key, values, all[max(0, len(all)-3):])
		}
		if m := windowedKey.FindStringSubmatch(key); m == nil || s.keys[m[1]] == (span{}) {
			s.t.Errorf("%s has the key %s", topic, key)
		}
	}
	return len(closed)
}
