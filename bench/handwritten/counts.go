package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// mostCounts is how many counts a partition keeps in memory between two commits.
const mostCounts = 50_000

// count is a count that is in memory.
type count struct {
	key     []byte
	n       uint64
	changed bool // since the latest commit
}

// counts are the counts of one partition: a map in front of a Pebble database.
type counts struct {
	db      *pebble.DB
	recent  map[string]*count
	changed []*count
}

// restore makes an empty database and fills it from the changelog.
func restore(ctx context.Context, c config, dir string, partition int32) (*counts, error) {
	dir = filepath.Join(dir, fmt.Sprint(partition))
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	o := &pebble.Options{DisableWAL: true, MemTableSize: 16 << 20, Logger: quiet{}}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(dir, o)
	if err != nil {
		return nil, err
	}
	if err := replay(ctx, c, partition, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &counts{db: db, recent: map[string]*count{}}, nil
}

// replay reads the changelog of a partition into db.
func replay(ctx context.Context, c config, partition int32, db *pebble.DB) error {
	topic := c.changelog()
	cl, err := kgo.NewClient(c.clientOptions(
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the last offset may be that of a transaction's marker
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}),
	)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic)
	if err != nil {
		return err
	}
	end, _ := ends.Lookup(topic, partition)
	for next := int64(0); next < end.Offset; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		batch := db.NewBatch()
		for it := fetches.RecordIter(); !it.Done() && err == nil; {
			r := it.Next()
			if next = r.Offset + 1; !r.Attrs.IsControl() {
				err = batch.Set(r.Key, r.Value, nil)
			}
		}
		if err := errors.Join(err, batch.Commit(pebble.NoSync)); err != nil {
			return err
		}
	}
	return nil
}

// add adds one to the count of a key.
func (c *counts) add(key []byte) error {
	found := c.recent[string(key)]
	if found == nil {
		found = &count{key: bytes.Clone(key)}
		value, closer, err := c.db.Get(key)
		switch {
		case err == nil:
			found.n = binary.BigEndian.Uint64(value)
			if err := closer.Close(); err != nil {
				return err
			}
		case !errors.Is(err, pebble.ErrNotFound):
			return err
		}
		c.recent[string(key)] = found
	}
	found.n++
	if !found.changed {
		found.changed = true
		c.changed = append(c.changed, found)
	}
	return nil
}

// keep writes the changed counts, which are committed, to the database.
func (c *counts) keep() error {
	batch := c.db.NewBatch()
	for _, changed := range c.changed {
		if err := batch.Set(changed.key, binary.BigEndian.AppendUint64(nil, changed.n), nil); err != nil {
			return err
		}
		changed.changed = false
	}
	c.changed = c.changed[:0]
	if len(c.recent) > mostCounts {
		clear(c.recent)
	}
	return batch.Commit(pebble.NoSync)
}

// drop forgets the changed counts, which are not committed.
func (c *counts) drop() {
	for _, changed := range c.changed {
		delete(c.recent, string(changed.key))
	}
	c.changed = c.changed[:0]
}

func (c *counts) close() error { return c.db.Close() }

// quiet logs nothing.
type quiet struct{}

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(string, ...any)          {}
func (quiet) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }
