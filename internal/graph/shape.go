package graph

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Shape is what must stay the same so that state and internal topics keep their meaning,
// and so that all members of a group understand the same by a task. It can be stored as
// JSON and compared with the shape of an earlier version of the program.
type Shape struct {
	SubTopologies []SubTopologyShape // in order of ID
}

// SubTopologyShape is the shape of a sub-topology.
type SubTopologyShape struct {
	Name string
	// Sources are sorted, with patterns. Repartition topics lack the application ID.
	Sources []string
	Stores  []StoreShape // in order of name
}

// StoreShape is the shape of a store.
type StoreShape struct {
	Name   string
	Format string
	// FromTopic says that the store is restored from the topic of its table.
	FromTopic bool `json:",omitempty"`
	// Earlier is that of [Store].
	Earlier []string `json:",omitempty"`
}

// formats returns the formats of the rows, by the number of the format of their values.
func (s StoreShape) formats() []string { return append(slices.Clip(s.Earlier), s.Format) }

// Shape returns the shape of the graph.
func (g *Graph) Shape() Shape {
	var out Shape
	for _, s := range g.SubTopologies {
		sub := SubTopologyShape{Name: s.Name}
		// Topics that match a pattern are left out: the shape stays the same when another
		// topic matches.
		for _, t := range s.Sources {
			if g.Matched(t.Name) == nil {
				sub.Sources = append(sub.Sources, t.Name)
			}
		}
		for _, p := range s.Patterns {
			sub.Sources = append(sub.Sources, p.String())
		}
		for _, store := range s.Stores {
			if store.Own {
				continue
			}
			sub.Stores = append(sub.Stores, StoreShape{Name: store.Name, Format: store.Format, FromTopic: store.FromTopic != nil, Earlier: store.Earlier})
		}
		slices.Sort(sub.Sources)
		slices.SortFunc(sub.Stores, func(a, b StoreShape) int { return cmp.Compare(a.Name, b.Name) })
		out.SubTopologies = append(out.SubTopologies, sub)
	}
	return out
}

// Fingerprint returns 16 hexadecimal digits that differ when the shapes differ.
func (s Shape) Fingerprint() string {
	text, err := json.Marshal(s)
	if err != nil {
		// A Shape consists of strings and slices only.
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Misfit is a store of an earlier version of the topology, whose state the present one
// would lose or misread.
type Misfit struct {
	Store string
	Gone  bool // the topology no longer has the store
	Err   error
}

// Incompatible joins the errors of Misfits. It returns nil if there are none.
func (s Shape) Incompatible(earlier Shape) error {
	var problems []error
	for _, m := range s.Misfits(earlier) {
		problems = append(problems, m.Err)
	}
	return errors.Join(problems...)
}

// Misfits compares the shape with that of an earlier version with state. It explains what
// would be lost or misread:
//
//   - stores that are gone;
//   - stores whose rows have another format;
//   - stores whose records come from other topics, so that their keys are in other
//     partitions.
//
// New sources and operators are compatible. Package guard judges new stores.
func (s Shape) Misfits(earlier Shape) (misfits []Misfit) {
	now := s.stores()
	for _, sub := range earlier.SubTopologies {
		for _, was := range sub.Stores {
			is, ok := now[was.Name]
			if err := is.misfit(was, sub.Sources, ok); err != nil {
				misfits = append(misfits, Misfit{Store: was.Name, Gone: !ok, Err: err})
			}
		}
	}
	return misfits
}

func (s placedStore) misfit(was StoreShape, sources []string, exists bool) error {
	if !exists && was.FromTopic {
		return nil // its rows are in the topic
	}
	if !exists {
		return fmt.Errorf("store %s is no longer in the topology: its state would be lost", was.Name)
	}
	changed := FormatsContinue(was.formats(), s.formats())
	switch {
	case changed != nil && changed.unmigrated():
		return fmt.Errorf("store %s was %s and is now %s: its rows would be misread", was.Name, was.Format, s.Format)
	case changed != nil:
		return fmt.Errorf("store %s %w", was.Name, changed)
	case was.FromTopic && !s.FromTopic:
		return ErrOtherChangelog(was.Name, true)
	case !overlap(sources, s.sources):
		return fmt.Errorf("store %s was filled from %s and is now filled from %s: its keys would be in other partitions",
			was.Name, strings.Join(sources, ", "), strings.Join(s.sources, ", "))
	}
	return nil
}

// ErrOtherChangelog says that a store is to be restored from another topic than the one
// that has its rows. fromTopic says that this was the topic of its table.
func ErrOtherChangelog(store string, fromTopic bool) error {
	if fromTopic {
		return fmt.Errorf("store %s was restored from the topic of its table, and would now have an empty changelog of its own: use topology.SourceAsChangelog again", store)
	}
	return fmt.Errorf("store %s has its rows in a changelog of its own, and would now be restored from the topic of its table: remove topology.SourceAsChangelog", store)
}

// Stateless reports whether there is no store.
func (s Shape) Stateless() bool { return len(s.stores()) == 0 }

// Has reports whether there is a store with the name.
func (s Shape) Has(store string) bool {
	_, ok := s.stores()[store]
	return ok
}

type placedStore struct {
	StoreShape
	sources []string
}

func (s Shape) stores() map[string]placedStore {
	out := make(map[string]placedStore)
	for _, sub := range s.SubTopologies {
		for _, store := range sub.Stores {
			out[store.Name] = placedStore{store, sub.Sources}
		}
	}
	return out
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}
