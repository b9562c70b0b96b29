package conformance

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
)

// testCase is a case of the corpus. The corpus's README describes the fields.
type testCase struct {
	Name, Area, Description, API, TwinOf, Describe string

	Tags           []string
	Config         map[string]any
	WallClockStart int64
	Topics         map[string]topicOf
	Topology       []op
	InternalTopics []string
	Steps          []step
	Stopped        bool
	Stores         map[string]storeContent
	DroppedRecords *int64
	InternalDigest map[string]digest
	BuildError     map[string]string

	file    string // the file's path
	unknown error  // an unknown field
}

type topicOf struct{ Role, Key, Value string }

// step is one action, and what was captured after it.
type step struct {
	Pipe             string
	Key, Value       json.RawMessage
	TS               int64
	Headers          [][]*string
	AdvanceWallClock *int64

	Out      map[string][]outRecord
	Internal map[string][]internalRecord
	Error    map[string]string
}

type outRecord struct {
	Key, Value json.RawMessage
	TS         *int64
	RawKey     string
	Headers    [][]any
}

type internalRecord struct {
	Key, Value *string // hexadecimal
	TS         *int64
	Headers    [][]any
}

type storeContent struct {
	Type, Note string
	Entries    []storeEntry
}

type storeEntry struct {
	Key, Value json.RawMessage
	TS         int64
}

type digest struct {
	Count  int
	SHA256 string
}

// op is one operation of a topology, with its parameters by name.
type op map[string]any

func (o op) text(name string) string {
	s, _ := o[name].(string)
	return s
}

// texts returns a list of texts. A single text is a list of one.
func (o op) texts(name string) []string {
	if s := o.text(name); s != "" {
		return []string{s}
	}
	list, _ := o[name].([]any)
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func (o op) number(name string) (n int64, ok bool) {
	number, ok := o[name].(json.Number)
	if !ok {
		return 0, false
	}
	n, err := number.Int64()
	return n, err == nil
}

// ms returns a number of milliseconds, or 0 if it is not given.
func (o op) ms(name string) int64 {
	n, _ := o.number(name)
	return n
}

// longest is the longest duration, in milliseconds.
const longest = math.MaxInt64 / int64(time.Millisecond)

// duration returns a number of milliseconds as a duration. A number that is too large
// becomes the longest duration.
func (o op) duration(name string) time.Duration { return duration(o.ms(name)) }

func duration(ms int64) time.Duration {
	return time.Duration(min(ms, longest)) * time.Millisecond
}

func (o op) flag(name string) bool {
	b, _ := o[name].(bool)
	return b
}

// isOff reports whether a flag is given as false.
func (o op) isOff(name string) bool {
	b, ok := o[name].(bool)
	return ok && !b
}

func (o op) has(name string) bool { return o[name] != nil }

func (o op) child(name string) op {
	m, _ := o[name].(map[string]any)
	return m
}

func (o op) children(name string) []op {
	list, _ := o[name].([]any)
	var out []op
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// knows returns an error if the operation has a parameter that is not in the list.
// Otherwise a case could pass although half of it was ignored.
func (o op) knows(names string) error {
	return o.only(o.text("op"), "op id from "+names)
}

// only is knows for the parameters of a part of an operation. what names the part.
func (o op) only(what, names string) error {
	known := strings.Fields(names)
	for name, v := range o {
		if v != nil && !slices.Contains(known, name) {
			return notYet("%s with %s", what, name)
		}
	}
	return nil
}
