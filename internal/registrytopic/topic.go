// Package registrytopic owns the format of an application's registry, and reads it.
//
// # The topic
//
// The registry is the compacted topic <application>-stores-registry. It has one
// partition. No other internal topic of any application can have its name, because those
// end in -changelog, -repartition or -topic. For the same reason, two applications never
// share a registry, although they may share a changelog.
//
// The key of a record begins with a [Kind], which says what the record is about:
//
//	store/<name>                       a store                package registry
//	repartition/<topic>                a repartition topic    package registry
//	start/<topic>/<partition>          where a task started   package inputs
//	stop/<topic>/<partition>           where a task stopped   package inputs
//	disk/<process>/<topic>/<partition> the state of a disk    package inputs
//	swept/<store>/<partition>          a finished conversion  package registry
//	pattern/<source>                   the first topics       package registry
//
// The value is JSON with the field "version". An empty value deletes the record. The
// package beside the key encodes and decodes the value. Three rules make the topic
// readable by other versions of the library:
//
//   - A reader ignores keys and fields that it does not know.
//   - A new field that older readers may ignore keeps [Version].
//   - Any other change increases it.
//
// # Readers
//
// The packages read the topic at different times: registry before it writes, inputs when
// a task starts. Each has its own [Reader], and its own lock.
package registrytopic

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/restore"
)

// Version is the version of the values that this version of the library writes. Only the
// records of some stores have a newer one: see package registry.
const Version = 1

// Kind is the beginning of a record's key.
type Kind string

// The kinds of records.
const (
	Store       = Kind("store/")
	Repartition = Kind("repartition/")
	Start       = Kind("start/")
	Stop        = Kind("stop/")
	Disk        = Kind("disk/")
	Swept       = Kind("swept/")
	Pattern     = Kind("pattern/")
)

// Key returns the key of the record of this kind with the name.
func (k Kind) Key(name string) string { return string(k) + name }

// Name returns the part of a key after the kind. ok is false if the record has another
// kind.
func (k Kind) Name(key []byte) (name string, ok bool) {
	return strings.CutPrefix(string(key), string(k))
}

// Reader reads one registry, each record once. Only one goroutine may use it at a time. A
// copy continues at the same position.
type Reader struct {
	topic string
	id    kadm.TopicID
	next  int64 // -1: the start of the topic
}

// NewReader returns a Reader that starts at the beginning of a topic. If id is not zero,
// a topic with another ID is an error.
func NewReader(topic string, id kadm.TopicID) Reader {
	return Reader{topic: topic, id: id, next: -1}
}

// Read passes the records since the last Read to apply, up to the end of the topic. It
// waits for open transactions. apply gets them in order, in batches of committed records,
// and must not keep the slice. After an error of apply, the next Read continues with the
// same batch.
//
// If records that Read has passed were deleted from the beginning of the topic, or the
// topic was created again, Read calls reset and passes all records again.
func (r *Reader) Read(ctx context.Context, from *restore.Restorer, reset func(), apply func([]*kgo.Record) error) error {
	err := r.read(ctx, from, apply)
	if errors.Is(err, restore.ErrOutOfRange) && r.next >= 0 {
		r.next = -1
		reset()
		err = r.read(ctx, from, apply)
	}
	return err
}

func (r *Reader) read(ctx context.Context, from *restore.Restorer, apply func([]*kgo.Record) error) error {
	sink := func(_ int, records []*kgo.Record, next int64) error {
		if err := apply(records); err != nil {
			return err
		}
		r.next = next
		return nil
	}
	part := restore.Partition{Topic: r.topic, From: r.next, TopicID: r.id}
	return from.Restore(ctx, []restore.Partition{part}, sink, nil, nil)
}

// Each calls apply for each record. It adds the record's offset to an error.
func Each(records []*kgo.Record, apply func(key, value []byte) error) error {
	for _, r := range records {
		if err := apply(r.Key, r.Value); err != nil {
			return fmt.Errorf("offset %d: %w", r.Offset, err)
		}
	}
	return nil
}
