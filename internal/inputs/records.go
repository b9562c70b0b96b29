package inputs

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/restore"
)

// TopicID tells a topic from another one that had the same name before it.
type TopicID = kadm.TopicID

// Partition is an input partition.
type Partition struct {
	Topic     string
	Partition int32
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Partition) }

const startPrefix = "start/"

// startVersion is that of the values. A field that older versions may ignore needs no new one.
const startVersion = 1

type start struct {
	Version int    `json:"version"`
	TopicID string `json:"topic_id"`
}

// Records are the start and disk records of an application, as this process has read and written them.
// Its methods may be called by several goroutines.
type Records struct {
	topic string

	mu    sync.Mutex
	next  int64 // to be read
	ids   map[Partition]TopicID
	disks map[diskKey]engine.Progress
}

// NewRecords returns the start records of an application, of which nothing has been read yet.
func NewRecords(applicationID string) *Records {
	return &Records{topic: graph.RegistryTopic(applicationID), next: -1, ids: map[Partition]TopicID{}, disks: map[diskKey]engine.Progress{}}
}

// Lookup returns the topic ID of the start record of a partition.
func (s *Records) Lookup(p Partition) (id TopicID, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, found = s.ids[p]
	return id, found
}

// Read reads what other processes have written since the last Read.
func (s *Records) Read(ctx context.Context, from *restore.Restorer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sink := func(_ int, records []*kgo.Record, next int64) error {
		for _, r := range records {
			if err := s.apply(r.Key, r.Value); err != nil {
				return fmt.Errorf("offset %d: %w", r.Offset, err)
			}
		}
		s.next = next
		return nil
	}
	err := from.Restore(ctx, []restore.Partition{{Topic: s.topic, From: s.next}}, sink, nil, nil)
	if errors.Is(err, restore.ErrOutOfRange) && s.next >= 0 { // the topic was made again
		s.next = -1
		clear(s.ids)
		clear(s.disks)
		err = from.Restore(ctx, []restore.Partition{{Topic: s.topic, From: s.next}}, sink, nil, nil)
	}
	if err != nil {
		return fmt.Errorf("reading which inputs were started, from topic %s: %w", s.topic, err)
	}
	return nil
}

// apply takes a record in. Keys of other kinds, and values of newer versions that do not say
// what this one needs, are left out.
func (s *Records) apply(key, value []byte) error {
	if k, ok := parseDiskKey(string(key)); ok {
		return s.applyDisk(k, value)
	}
	p, ok := parseKey(string(key))
	if !ok {
		return nil
	}
	if len(value) == 0 {
		delete(s.ids, p)
		return nil
	}
	var v start
	if err := json.Unmarshal(value, &v); err != nil {
		return fmt.Errorf("the start record of %v is damaged: %w", p, err)
	}
	id, err := decodeID(v.TopicID)
	if err != nil {
		return fmt.Errorf("the start record of %v is damaged: %w", p, err)
	}
	s.ids[p] = id
	return nil
}

func encodeID(id TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func decodeID(text string) (TopicID, error) {
	id, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(id) != len(TopicID{}) {
		return TopicID{}, fmt.Errorf("%q is no topic ID", text)
	}
	return TopicID(id), nil
}

// Write writes start records, and returns when all replicas in sync have them.
func (s *Records) Write(ctx context.Context, cl *kgo.Client, ids map[Partition]TopicID) error {
	var records []*kgo.Record
	for p, id := range ids {
		value, err := json.Marshal(start{Version: startVersion, TopicID: encodeID(id)})
		if err != nil {
			return err
		}
		records = append(records, &kgo.Record{Topic: s.topic, Key: []byte(startPrefix + p.String()), Value: value})
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("writing which inputs were started, to topic %s: %w", s.topic, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, id := range ids {
		s.ids[p] = id
	}
	return nil
}

func parseKey(key string) (p Partition, ok bool) {
	rest, ok := strings.CutPrefix(key, startPrefix)
	if !ok {
		return p, false
	}
	return parsePartition(rest)
}

// parsePartition reads what Partition.String writes. Names of topics have no slash.
func parsePartition(text string) (p Partition, ok bool) {
	topic, number, ok := strings.Cut(text, "/")
	n, err := strconv.ParseInt(number, 10, 32)
	if !ok || err != nil || n < 0 || topic == "" {
		return p, false
	}
	return Partition{topic, int32(n)}, true
}
