package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/registrytopic"
)

// Swept says that all rows of one partition of a store have a format, or a later one: the
// last changelog record of each key has it. A record of a store that was removed, and has
// come back with another changelog, does not count.
type Swept struct {
	Store       string
	Partition   int32
	ChangelogID TopicID
	Format      int
}

type sweptKey struct {
	store     string
	partition int32
}

func (s Swept) key() sweptKey { return sweptKey{s.Store, s.Partition} }

// String returns the key of the record.
func (k sweptKey) String() string {
	return registrytopic.Swept.Key(k.store + "/" + strconv.Itoa(int(k.partition)))
}

// sweptWire is the JSON of a value.
type sweptWire struct {
	Version     int    `json:"version"`
	ChangelogID string `json:"changelog_id"`
	Format      int    `json:"format"`
}

// parseSweptKey parses the key of a record. Names of stores have no slash.
func parseSweptKey(key []byte) (k sweptKey, ok bool) {
	rest, ok := registrytopic.Swept.Name(key)
	store, number, found := strings.Cut(rest, "/")
	n, err := strconv.ParseInt(number, 10, 32)
	return sweptKey{store, int32(n)}, ok && found && err == nil && n >= 0 && store != ""
}

func (s Swept) encode() (key, value []byte, err error) {
	key = []byte(s.key().String())
	value, err = json.Marshal(sweptWire{Version: registrytopic.Version, ChangelogID: encodeID(s.ChangelogID), Format: s.Format})
	return key, value, err
}

// decodeSwept returns nil for a value of a newer version: the conversion then counts as
// unfinished.
func decodeSwept(key, value []byte) (*Swept, error) {
	k, _ := parseSweptKey(key)
	var w sweptWire
	if err := json.Unmarshal(value, &w); err != nil {
		return nil, err
	}
	switch {
	case w.Version > newest:
		return nil, nil
	case w.Version < 1 || w.Format < 0:
		return nil, errors.New("it has no version, or an impossible format")
	}
	id, err := decodeID(w.ChangelogID)
	return &Swept{Store: k.store, Partition: k.partition, ChangelogID: id, Format: w.Format}, err
}

// Has reports whether a conversion, or a later one, is recorded.
func (v View) Has(s Swept) bool {
	recorded, found := v.swept[s.key()]
	return found && recorded.ChangelogID == s.ChangelogID && recorded.Format >= s.Format
}

// WriteSwept records a conversion, and returns when all in-sync replicas have the record.
// It does not depend on what others write.
func WriteSwept(ctx context.Context, cl *kgo.Client, application string, s Swept) error {
	key, value, err := s.encode()
	if err == nil {
		err = produce(ctx, cl, &kgo.Record{Topic: TopicName(application), Key: key, Value: value})
	}
	if err != nil {
		return fmt.Errorf("record in topic %s that store %s is converted: %w", TopicName(application), s.Store, err)
	}
	return nil
}

// produce returns when the record is written, or when ctx ends. The client may not give
// up a record that was sent, so its promise could come much later.
func produce(ctx context.Context, cl *kgo.Client, record *kgo.Record) error {
	written := make(chan error, 1)
	cl.Produce(ctx, record, func(_ *kgo.Record, err error) { written <- err })
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unconverted explains that rows of formats which the topology no longer reads may exist.
// It returns nil if there are none.
func (r Record) unconverted(was Record, v View) error {
	gone := r.gone()
	if gone == 0 {
		return nil
	}
	id := r.ChangelogID
	if id == (TopicID{}) { // not known yet
		id = was.ChangelogID
	}
	var missing []string
	for p := range max(was.Partitions, r.Partitions) {
		// A format that was not recorded last cannot be converted.
		if gone > len(was.EarlierValues) || !v.Has(Swept{r.Store, p, id, gone}) {
			missing = append(missing, strconv.Itoa(int(p)))
		}
	}
	switch {
	case was.Changelog == "":
		return fmt.Errorf("had no changelog, so that nobody knows which disks have rows of earlier formats: put the Migrate options back in place of Migrated(%d)", gone)
	case len(missing) > 0:
		return fmt.Errorf("may have rows of the formats before %d in partitions %s, which Migrated(%d) says are converted: put the Migrate options back, and let the application run until its log says that all rows are converted",
			gone, strings.Join(missing, ", "), gone)
	}
	return nil
}

// stale returns the keys of the conversions of a store that do not count any more, when
// its record changes. While a store is empty, an application may go back to a version
// that knows fewer formats, and its rows have these.
func (v View) stale(now, was Record) (keys []string) {
	formats := min(len(now.EarlierValues), len(was.EarlierValues))
	for k, s := range v.swept {
		if k.store == now.Store && (s.Format > formats || !was.Removed.IsZero()) {
			keys = append(keys, k.String())
		}
	}
	slices.Sort(keys)
	return keys
}

// gone returns how many of the first formats no row has any more, as the topology says.
func (r Record) gone() (n int) {
	for n < len(r.EarlierValues) && r.EarlierValues[n] == "" {
		n++
	}
	return n
}
