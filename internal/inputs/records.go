package inputs

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/registrytopic"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/topicid"
	"github.com/millrace-streams/millrace/internal/turn"
)

// TopicID distinguishes a topic from an earlier one with the same name.
type TopicID = kadm.TopicID

// Partition is an input partition.
type Partition struct {
	Topic     string
	Partition int32
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Partition) }

// Start is the content of a start record.
type Start struct {
	TopicID TopicID
	// Run distinguishes the start from those before and after it.
	Run string
}

// Stop is the content of a stop record.
type Stop struct {
	Start
	Offset   int64
	Metadata string
}

// start is the JSON of a start record. stop is that of a stop record.
type start struct {
	Version int    `json:"version"`
	TopicID string `json:"topic_id"`
	Run     string `json:"run"`
}

type stop struct {
	start
	Offset   int64  `json:"offset"`
	Metadata string `json:"metadata"`
}

// Records are the start, stop and disk records of an application, as this process has
// read and written them. Its methods may be called by several goroutines.
type Records struct {
	topic string

	turn   turn.Turn            // held to read the records, or to apply a write
	reader registrytopic.Reader // guarded by turn

	mu     sync.Mutex // never held while waiting for Kafka
	starts map[Partition]Start
	stops  map[Partition]Stop
	disks  map[diskKey]engine.Progress
}

// NewRecords returns the records of an application. Nothing has been read yet.
func NewRecords(applicationID string) *Records {
	topic := graph.RegistryTopic(applicationID)
	r := &Records{topic: topic, turn: turn.New(), reader: registrytopic.NewReader(topic, TopicID{})}
	r.reset()
	return r
}

func (s *Records) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts, s.stops, s.disks = map[Partition]Start{}, map[Partition]Stop{}, map[diskKey]engine.Progress{}
}

// Started returns the start record of a partition.
func (s *Records) Started(p Partition) (at Start, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, found = s.starts[p]
	return at, found
}

// Stopped returns the stop record of a partition. It is not found if a task has started
// to read the partition after that stop.
func (s *Records) Stopped(p Partition) (at Stop, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, found = s.stops[p]
	return at, found && at.Run != "" && at.Run == s.starts[p].Run
}

// Read reads the records that other processes have written since the last Read.
func (s *Records) Read(ctx context.Context, from *restore.Restorer) error {
	if err := s.turn.Take(ctx); err != nil {
		return err
	}
	defer s.turn.Free()
	apply := func(records []*kgo.Record) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		return registrytopic.Each(records, s.apply)
	}
	err := s.reader.Read(ctx, from, s.reset, apply)
	if err != nil {
		return fmt.Errorf("read the start records in topic %s: %w", s.topic, err)
	}
	return nil
}

// apply applies a record. It skips keys of other kinds, and values of newer versions that
// lack the data.
func (s *Records) apply(key, value []byte) error {
	if k, ok := parseDiskKey(key); ok {
		return s.applyDisk(k, value)
	}
	if p, ok := parseKey(registrytopic.Start, key); ok {
		return applyTo(s.starts, p, value, "start", start.decode)
	}
	if p, ok := parseKey(registrytopic.Stop, key); ok {
		return applyTo(s.stops, p, value, "stop", stop.decode)
	}
	return nil
}

// applyTo applies a value. decode turns its JSON, a V, into an R.
func applyTo[V, R any](to map[Partition]R, p Partition, value []byte, kind string, decode func(V) (R, error)) error {
	if len(value) == 0 {
		delete(to, p)
		return nil
	}
	var v V
	err := json.Unmarshal(value, &v)
	if err == nil {
		to[p], err = decode(v)
	}
	if err != nil {
		return fmt.Errorf("the %s record of %v is damaged: %w", kind, p, err)
	}
	return nil
}

func (v start) decode() (Start, error) {
	id, err := topicid.Parse(v.TopicID)
	return Start{TopicID: id, Run: v.Run}, err
}

func (v stop) decode() (Stop, error) {
	at, err := v.start.decode()
	return Stop{Start: at, Offset: v.Offset, Metadata: v.Metadata}, err
}

func (at Start) json() start {
	return start{Version: registrytopic.Version, TopicID: topicid.Format(at.TopicID), Run: at.Run}
}

// WriteStarts writes start records, and returns when all in-sync replicas have them.
func (s *Records) WriteStarts(ctx context.Context, cl *kgo.Client, starts map[Partition]Start) error {
	if err := write(ctx, cl, s.topic, registrytopic.Start, starts, func(at Start) any { return at.json() }); err != nil {
		return fmt.Errorf("write the start records to topic %s: %w", s.topic, err)
	}
	return s.takeIn(ctx, func() { maps.Copy(s.starts, starts) })
}

// WriteStops writes stop records, and returns when all in-sync replicas have them.
func (s *Records) WriteStops(ctx context.Context, cl *kgo.Client, stops map[Partition]Stop) error {
	encode := func(at Stop) any { return stop{at.Start.json(), at.Offset, at.Metadata} }
	if err := write(ctx, cl, s.topic, registrytopic.Stop, stops, encode); err != nil {
		return fmt.Errorf("write the stop records to topic %s: %w", s.topic, err)
	}
	return s.takeIn(ctx, func() { maps.Copy(s.stops, stops) })
}

// takeIn changes the records after a write. If it returns an error, the change was not
// made, and a later Read finds it.
func (s *Records) takeIn(ctx context.Context, change func()) error {
	if err := s.turn.Take(ctx); err != nil {
		return err
	}
	defer s.turn.Free()
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	return nil
}

func write[R any](ctx context.Context, cl *kgo.Client, topic string, kind registrytopic.Kind, values map[Partition]R, encode func(R) any) error {
	records := make([]*kgo.Record, 0, len(values))
	for p, v := range values {
		value, err := json.Marshal(encode(v))
		if err != nil {
			return err
		}
		records = append(records, &kgo.Record{Topic: topic, Key: []byte(kind.Key(p.String())), Value: value})
	}
	return cl.ProduceSync(ctx, records...).FirstErr()
}

func parseKey(kind registrytopic.Kind, key []byte) (p Partition, ok bool) {
	rest, ok := kind.Name(key)
	if !ok {
		return p, false
	}
	return parsePartition(rest)
}

// parsePartition parses the result of Partition.String. Topic names have no slash.
func parsePartition(text string) (p Partition, ok bool) {
	topic, number, ok := strings.Cut(text, "/")
	n, err := strconv.ParseInt(number, 10, 32)
	if !ok || err != nil || n < 0 || topic == "" {
		return p, false
	}
	return Partition{topic, int32(n)}, true
}
