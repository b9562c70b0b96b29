package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// pebbleFormat is Pebble's newest format at the time of writing. It is pinned because
// upgrades are one-way: a new release of Pebble must not make a directory unreadable for
// the previous release.
const pebbleFormat = pebble.FormatValueSeparation

const (
	// formatVersion is the version of the layout that doc.go describes.
	formatVersion = 1
	// formattedVersion is the same for a database that has a row with a format.
	formattedVersion = 2
)

// metaPrefix is the prefix of the metadata: table ID 0. Tables begin at 1.
var metaPrefix = []byte{0, 0, 0, 0}

// The kinds of metadata, the first byte after the prefix.
const (
	metaFormat   = 'f'
	metaTable    = 'n'
	metaPosition = 'p'
	metaTopicID  = 'i'
	metaTime     = 't'
	metaStamp    = 's'
	metaInterval = 'w'
	metaSegment  = 'o'
	metaProgress = 'r'
	metaSwept    = 'm'
)

func metaKey(kind byte, name string) []byte {
	key := make([]byte, 0, len(metaPrefix)+1+len(name))
	key = append(append(key, metaPrefix...), kind)
	return append(key, name...)
}

// The types that stores reach from an [Env] do not name Pebble's types: they hold
// Pebble's objects in fields of type any, and functions such as database return them. A
// program that has a store compiles the methods of all generic types that the types of
// the store lead to, and Pebble has hundreds of them. TestTypesOfStores keeps it so.

// database returns the database on disk. There must be one.
func database(d *DB) *pebble.DB { return d.pebble.(*pebble.DB) }

// pebbleOptions returns the options of the database on disk.
//
// Each compaction of level 0 writes a large part of a small database again. Compactions
// therefore start at four sublevels (Pebble halves L0CompactionThreshold). Reads can
// afford the additional sublevels, because rows in use are in memory and the filters of
// the tables turn away the others.
func pebbleOptions(d *DB) *pebble.Options {
	logger := pebbleLogger{d.log, d.o.Dir}
	o := &pebble.Options{
		FS:                          d.disk,
		Cache:                       d.o.Shared.blocks.(*pebble.Cache),
		FileCache:                   d.o.Shared.files.(*pebble.FileCache),
		FormatMajorVersion:          pebbleFormat,
		MemTableSize:                uint64(d.o.MemTableSize),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       8,
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               64 << 20,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		FlushDelayDeleteRange:       10 * time.Second,
		Logger:                      logger,
		EventListener:               &pebble.EventListener{DataCorruption: logger.corrupted},
	}
	o.Experimental.CompactionScheduler = newCompactions()
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// openPebble opens the database on disk and reads its metadata.
func (d *DB) openPebble() error {
	if err := d.o.FS.MkdirAll(d.o.Dir, 0o755); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	db, err := pebble.Open(d.o.Dir, pebbleOptions(d))
	if err != nil {
		return fmt.Errorf("open the state in %s (if it is damaged, remove the directory; the state is then restored from Kafka): %w", d.o.Dir, err)
	}
	d.pebble = db
	if err := errors.Join(damaged(d.readMeta()), d.refused()); err != nil {
		d.pebble = nil
		_ = db.Close()
		return fmt.Errorf("read the state in %s: %w", d.o.Dir, err)
	}
	return nil
}

func (d *DB) readMeta() error {
	it, err := database(d).NewIter(&pebble.IterOptions{LowerBound: metaPrefix, UpperBound: []byte{0, 0, 0, 1}})
	if err != nil {
		return err
	}
	version := uint64(0)
	for it.First(); it.Valid() && err == nil; it.Next() {
		kind, name, value := it.Key()[len(metaPrefix)], string(it.Key()[len(metaPrefix)+1:]), it.Value()
		if kind == metaFormat {
			version, err = fixed(value)
			continue
		}
		err = d.readEntry(kind, name, value)
	}
	if closed := it.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	d.version = version
	switch version {
	case formatVersion, formattedVersion:
		return nil
	case 0:
		d.version = formatVersion
		return database(d).Set(metaKey(metaFormat, ""), binary.BigEndian.AppendUint64(nil, formatVersion), pebble.NoSync)
	}
	return fmt.Errorf("format %d is unknown to this version, which writes format %d: remove the directory to restore the state from Kafka", version, formattedVersion)
}

func (d *DB) readEntry(kind byte, name string, value []byte) error {
	switch kind {
	case metaTable:
		if len(value) != 4 {
			return fmt.Errorf("ID of table %s has %d bytes", name, len(value))
		}
		id := binary.BigEndian.Uint32(value)
		d.ids[name] = id
		d.lastID = max(d.lastID, id)
		return nil
	case metaTopicID:
		if len(value) != 16 {
			return fmt.Errorf("topic ID of %s has %d bytes", name, len(value))
		}
		d.topicIDs[name] = [16]byte(value)
		return nil
	case metaProgress: // read when it is asked for
		return nil
	}
	n, err := fixed(value)
	if err != nil {
		return fmt.Errorf("metadata %c %s: %w", kind, name, err)
	}
	switch kind {
	case metaPosition:
		d.positions[name] = int64(n)
	case metaTime:
		d.times[name] = int64(n)
	case metaStamp:
		d.stamp = time.UnixMilli(int64(n))
	case metaInterval:
		d.intervals[name] = int64(n)
	case metaSwept:
		d.swept[name] = uint8(n)
	case metaSegment:
		return d.readSegment(name, int64(n))
	}
	return nil
}

func fixed(value []byte) (uint64, error) {
	if len(value) != 8 {
		return 0, fmt.Errorf("value has %d bytes, not 8", len(value))
	}
	return binary.BigEndian.Uint64(value), nil
}
