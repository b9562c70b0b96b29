package registry

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
)

// Missing returns the changes that make the registry describe the present topology.
func (v View) Missing(stores []Record, repartitions []Repartition) (c Changes) {
	for _, now := range stores {
		was, found := v.Store(now.Store)
		merged, changed := now, true
		if found {
			merged, changed = now.over(was)
		}
		if changed {
			c.Stores = append(c.Stores, merged)
			c.Forget = append(c.Forget, v.stale(merged, was)...)
		}
	}
	for _, now := range repartitions {
		was := v.repartitions[now.Topic]
		if now = now.over(was); now != was {
			c.Repartitions = append(c.Repartitions, now)
		}
	}
	return c
}

// Misfit is a store whose recorded rows the present topology would lose or misread.
type Misfit struct {
	Store     string
	Changelog string // the topic that holds the rows; "" if there is none
	Gone      bool   // the topology no longer has the store

	// Err explains what else does not fit. It is nil if only Recounts do not.
	Err error
	// Recounts are the inputs whose keys would be in other partitions than their rows.
	Recounts []Recount
}

// Recount is an input with another number of partitions than before.
type Recount struct {
	Topic    string // full name
	Internal bool   // a repartition topic of the application
	Was, Now int32
}

// Misreading is a repartition topic whose earlier records the present topology would read
// in another format.
type Misreading struct {
	Topic   string // full name
	Was, Is string // formats of key and value
}

// Misreadings compares the repartition topics of the present topology with the registry.
// A topic whose records are all processed is listed as well; the caller checks whether it
// has others.
func (v View) Misreadings(now []Repartition) (out []Misreading) {
	for _, is := range now {
		was := v.repartitions[is.Topic]
		if !sameFormat(was.KeyFormat, is.KeyFormat) || !sameFormat(was.ValueFormat, is.ValueFormat) {
			out = append(out, Misreading{is.Topic, was.formats(), is.formats()})
		}
	}
	return out
}

func sameFormat(was, is string) bool { return was == "" || graph.FormatsAgree(was, is) }

func (r Repartition) formats() string { return r.KeyFormat + " to " + r.ValueFormat }

// over returns the record with formats that are unknown now from an earlier one.
func (r Repartition) over(was Repartition) Repartition {
	if unknown(r.KeyFormat) {
		r.KeyFormat = was.KeyFormat
	}
	if unknown(r.ValueFormat) {
		r.ValueFormat = was.ValueFormat
	}
	return r
}

// Misfits compares the present topology, as its stores would be recorded now, with the
// registry. A store without rows is listed as well; the caller checks whether it has any.
func (v View) Misfits(now []Record) (misfits []Misfit) {
	for _, was := range v.Stores() {
		if !was.Removed.IsZero() {
			continue
		}
		i := slices.IndexFunc(now, func(r Record) bool { return r.Store == was.Store })
		switch {
		case i >= 0:
			m := Misfit{Store: was.Store, Changelog: cmp.Or(was.Changelog, was.FromTopic), Err: now[i].incompatible(was, v), Recounts: now[i].recounts(was)}
			if m.Err != nil || len(m.Recounts) > 0 {
				misfits = append(misfits, m)
			}
		case was.FromTopic != "": // its rows are in the topic
		case was.Kind != Times: // operator times belong to the sub-topology
			misfits = append(misfits, Misfit{
				Store: was.Store, Changelog: was.Changelog, Gone: true,
				Err: fmt.Errorf("store %s is no longer in the topology: its state would be lost", was.Store),
			})
		}
	}
	return misfits
}

// incompatible explains why the rows of an earlier record would be misread. It returns
// nil if they would not. View says which conversions are finished.
func (r Record) incompatible(was Record, v View) error {
	if was.Newer {
		return fmt.Errorf("store %s was recorded by a newer version of the library, and this version cannot read the record: run the newer version", r.Store)
	}
	var changes []error
	changed := func(format string, args ...any) {
		changes = append(changes, fmt.Errorf("store %s "+format, append([]any{r.Store}, args...)...))
	}
	// A store without any copy in Kafka may get one: its rows are made from the topic.
	if was.FromTopic != r.FromTopic && was.Changelog+was.FromTopic != "" && !was.Absent {
		changes = append(changes, graph.ErrOtherChangelog(r.Store, was.FromTopic != ""))
	}
	if was.Application != r.Application {
		changed("belongs to application %s, and this is %s", was.Application, r.Application)
	}
	if was.Kind != "" && r.Kind != "" && (was.Kind != r.Kind || was.Duplicates != r.Duplicates) {
		changed("was a %s and is now a %s: its rows would be misread", was.what(), r.what())
		return errors.Join(changes...)
	}
	if was.KeyFormat != "" && r.KeyFormat != "" && !graph.FormatsAgree(was.KeyFormat, r.KeyFormat) {
		changed("had keys of format %s and has now %s: its rows would be misread", was.KeyFormat, r.KeyFormat)
	}
	if change := graph.FormatsContinue(was.values(), r.values()); change != nil {
		changed("%w", change)
	}
	if err := r.unconverted(was, v); err != nil {
		changed("%w", err)
	}
	if !r.Windows.agree(was.Windows) {
		changed("had %v and has now %v: its rows would be misread", was.Windows, r.Windows)
	}
	return errors.Join(append(changes, r.movedFrom(was))...)
}

func (r Record) what() string {
	if r.Duplicates {
		return string(r.Kind) + " store with duplicates"
	}
	return string(r.Kind) + " store"
}

// movedFrom explains why keys would be in other partitions than their rows, if all inputs
// are other topics than before. Topics that match the same pattern count as the same.
func (r Record) movedFrom(was Record) error {
	if slices.ContainsFunc(was.Patterns, func(p string) bool { return slices.Contains(r.Patterns, p) }) {
		return nil
	}
	if len(was.Inputs) > 0 && len(r.Inputs) > 0 && !slices.ContainsFunc(was.Inputs, func(i Input) bool { return r.Input(i.Topic) != nil }) {
		return fmt.Errorf("store %s was filled from %s and is now filled from %s: its keys would be in other partitions",
			r.Store, topicsOf(was.Inputs), topicsOf(r.Inputs))
	}
	return nil
}

// recounts returns the inputs that have another number of partitions than before. The
// store of operator times has none, because its row belongs to operators and not to keys,
// and the user could not change it.
func (r Record) recounts(was Record) (recounts []Recount) {
	if was.Newer || was.Kind == Times {
		return nil
	}
	for _, before := range was.Inputs {
		if now := r.Input(before.Topic); now != nil && before.Partitions != now.Partitions && before.Partitions > 0 {
			recounts = append(recounts, Recount{Topic: before.Topic, Internal: now.Internal, Was: before.Partitions, Now: now.Partitions})
		}
	}
	return recounts
}

// Input returns the input with the topic's full name, or nil if there is none.
func (r Record) Input(topic string) *Input {
	i := slices.IndexFunc(r.Inputs, func(in Input) bool { return in.Topic == topic })
	if i < 0 {
		return nil
	}
	return &r.Inputs[i]
}

func topicsOf(inputs []Input) string {
	names := make([]string, len(inputs))
	for i, in := range inputs {
		names[i] = in.Topic
	}
	return strings.Join(names, ", ")
}

// agree reports whether rows have the same meaning in both windows.
func (w Windows) agree(was Windows) bool {
	switch {
	case w.Size != was.Size:
		return false
	case w.Size == math.MaxInt64:
		return w.Start == was.Start
	}
	return w.Advance == was.Advance || w.Advance == 0 || was.Advance == 0
}

// String describes the windows, such as "windows of 1m0s every 5s".
func (w Windows) String() string {
	switch {
	case w.Size == 0:
		return "no windows"
	case w.Size == math.MaxInt64:
		return fmt.Sprintf("a window without end from %s", time.UnixMilli(w.Start).UTC().Format(time.RFC3339Nano))
	case w.Advance == 0:
		return fmt.Sprintf("windows of %v", w.Size)
	}
	return fmt.Sprintf("windows of %v every %v", w.Size, w.Advance)
}

// over returns the record to write over an earlier one. Fields that are unknown now keep
// their earlier value. changed is false if nothing has to be written.
func (r Record) over(was Record) (merged Record, changed bool) {
	if !was.Removed.IsZero() || was.Newer {
		return r, true
	}
	if unknown(r.KeyFormat) {
		r.KeyFormat = was.KeyFormat
	}
	r.setValues(was.values())
	return r, !r.equal(was)
}

// values returns the formats of the values by number.
func (r Record) values() []string { return append(slices.Clip(r.EarlierValues), r.ValueFormat) }

// setValues takes formats that are unknown now from an earlier record.
func (r *Record) setValues(was []string) {
	values := r.values()
	for i := range values {
		if i < len(was) && unknown(values[i]) {
			values[i] = was[i]
		}
	}
	newest := len(values) - 1
	r.ValueFormat = values[newest]
	if newest > 0 {
		r.EarlierValues = values[:newest]
	}
}

func unknown(format string) bool { return format == "" || format == "?" }
