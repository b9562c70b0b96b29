// Package jointest has a naive model of a join of two streams, as package topology
// documents it. Tests compare the join with it.
package jointest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// Kind is the kind of a join.
type Kind int

// The kinds of joins.
const (
	Inner Kind = iota
	Left
	Outer
)

// Record is a record of one of the two streams. An absent key or value is nil.
type Record struct {
	Right      bool // the stream
	Key, Value []byte
	At         int64
}

// Output is a result of the join, or a record of the changelog of its waiting records.
type Output struct {
	Key, Value []byte
	At         int64
}

// Join is a join of two streams of text.
type Join struct {
	// Joiner makes the value of a result. It gets nil for the missing record. The default
	// joins the texts: "left+right", and "left+null" or "null+right" without a partner.
	Joiner func(left, right []byte) []byte

	Kind                 Kind
	Before, After, Grace int64 // ms

	// Out are the results of the last record, Log the records of the changelog, Late the
	// number of records so far that came too late to be kept.
	Out, Log []Output
	Late     int64

	begun   bool
	time    int64             // of the join
	rows    map[bool][]Record // by stream
	times   map[bool]int64    // of the stores
	waiting []Record
}

// Add joins a record.
func (j *Join) Add(r Record) {
	j.begin()
	j.Out, j.Log = nil, nil
	j.time = max(j.time, r.At)
	switch {
	case r.Key == nil && r.Value != nil && j.alone(r):
		j.sendAlone(r)
		return
	case r.Key == nil, r.Value == nil:
		return
	}
	if r.At == j.time {
		j.sendDue()
	}
	partners := j.partners(r)
	for _, o := range partners {
		j.found(o, r.At)
		left, right := r, o
		if r.Right {
			left, right = o, r
		}
		j.send(r.Key, j.Value(left.Value, right.Value), max(r.At, o.At))
	}
	if len(partners) == 0 && j.alone(r) {
		j.withoutPartner(r)
	}
	j.keep(r)
}

func (j *Join) begin() {
	if !j.begun {
		j.begun, j.time = true, -1
		j.rows, j.times = map[bool][]Record{}, map[bool]int64{false: -1, true: -1}
	}
}

// alone reports whether a record without a partner has a result.
func (j *Join) alone(r Record) bool { return j.Kind == Outer || j.Kind == Left && !r.Right }

// over reports whether a record waits no more.
func (j *Join) over(r Record) bool {
	if r.Right {
		return r.At+j.Before+j.Grace < j.time
	}
	return r.At+j.After+j.Grace < j.time
}

func (j *Join) sendDue() {
	slices.SortStableFunc(j.waiting, func(a, b Record) int { return bytes.Compare(a.waitingKey(), b.waitingKey()) })
	j.waiting = slices.DeleteFunc(j.waiting, func(r Record) bool {
		if !j.over(r) {
			return false
		}
		j.sendAlone(r)
		j.gone(r, j.time)
		return true
	})
}

// partners returns the stored records that a record is joined with.
func (j *Join) partners(r Record) []Record {
	from, to := r.At-j.Before, r.At+j.After
	if r.Right {
		from, to = r.At-j.After, r.At+j.Before
	}
	from = max(from, j.oldest(!r.Right))
	partners := slices.DeleteFunc(slices.Clone(j.rows[!r.Right]), func(o Record) bool {
		return !bytes.Equal(o.Key, r.Key) || o.At < from || o.At > to
	})
	slices.SortStableFunc(partners, func(a, b Record) int { return cmp.Compare(a.At, b.At) })
	return partners
}

// oldest is the smallest timestamp that a store still has.
func (j *Join) oldest(right bool) int64 { return j.times[right] - (j.Before + j.After + j.Grace) + 1 }

// found ends the waiting of a record that has a partner now.
func (j *Join) found(o Record, at int64) {
	j.waiting = slices.DeleteFunc(j.waiting, func(w Record) bool {
		if !bytes.Equal(w.waitingKey(), o.waitingKey()) {
			return false
		}
		j.gone(w, at)
		return true
	})
}

func (j *Join) withoutPartner(r Record) {
	if j.over(r) {
		j.sendAlone(r)
		return
	}
	j.waiting = append(j.waiting, r)
	j.Log = append(j.Log, Output{r.waitingKey(), j.list(r), r.At})
}

func (j *Join) keep(r Record) {
	j.times[r.Right] = max(j.times[r.Right], r.At)
	if r.At < j.oldest(r.Right) {
		j.Late++
		return
	}
	j.rows[r.Right] = append(j.rows[r.Right], r)
}

func (j *Join) send(key, value []byte, at int64) {
	j.Out = append(j.Out, Output{key, value, at})
}

func (j *Join) sendAlone(r Record) { j.send(r.Key, j.Alone(r), r.At) }

// Alone returns the value of the result of a record without a partner.
func (j *Join) Alone(r Record) []byte {
	if r.Right {
		return j.Value(nil, r.Value)
	}
	return j.Value(r.Value, nil)
}

// Value returns the value of a result. It gets nil for a missing record.
func (j *Join) Value(left, right []byte) []byte {
	if j.Joiner != nil {
		return j.Joiner(left, right)
	}
	text := func(v []byte) string {
		if v == nil {
			return "null"
		}
		return string(v)
	}
	return []byte(text(left) + "+" + text(right))
}

// gone logs that the waiting records with a key and timestamp are gone, once for all.
func (j *Join) gone(r Record, at int64) {
	key := r.waitingKey()
	if len(j.Log) == 0 || !bytes.Equal(j.Log[len(j.Log)-1].Key, key) {
		j.Log = append(j.Log, Output{key, nil, at})
	}
}

func (r Record) waitingKey() []byte {
	side := byte(1)
	if r.Right {
		side = 0
	}
	return append(append(binary.BigEndian.AppendUint64(nil, uint64(r.At)), side), r.Key...)
}

// list encodes the waiting records with the key and timestamp of one.
func (j *Join) list(r Record) []byte {
	var all []byte
	n := uint32(0)
	for _, w := range j.waiting {
		if bytes.Equal(w.waitingKey(), r.waitingKey()) {
			n++
			all = binary.BigEndian.AppendUint32(all, uint32(len(w.Value)+1))
			all = append(append(all, r.waitingKey()[8]), w.Value...)
		}
	}
	return append(binary.BigEndian.AppendUint32([]byte{1}, n), all...)
}
