package processor

import (
	"fmt"
	"strconv"
	"time"
)

// Timestamp is a point in event time: milliseconds since 1970-01-01T00:00:00Z, as Kafka
// records carry it. A negative timestamp is invalid in a record.
type Timestamp int64

// TimestampOf returns the timestamp of t, cut to the millisecond.
func TimestampOf(t time.Time) Timestamp { return Timestamp(t.UnixMilli()) }

// Time returns the timestamp as a time in UTC.
func (t Timestamp) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }

// Add returns the timestamp d later. d is cut to the millisecond.
func (t Timestamp) Add(d time.Duration) Timestamp { return t + Timestamp(d.Milliseconds()) }

// Sub returns the duration t-u.
func (t Timestamp) Sub(u Timestamp) time.Duration { return time.Duration(t-u) * time.Millisecond }

// String formats the timestamp as RFC 3339 with milliseconds, in UTC. A negative
// timestamp is not a time and is formatted as a number.
func (t Timestamp) String() string {
	if t < 0 {
		return strconv.FormatInt(int64(t), 10)
	}
	return t.Time().Format("2006-01-02T15:04:05.000Z")
}

// Header is one header of a Kafka record. A nil Value is a header without a value.
type Header struct {
	Key   string
	Value []byte
}

// String returns the header for logs and tests, such as batch="1577836805000". A header
// without a value is its key alone.
func (h Header) String() string {
	if h.Value == nil {
		return h.Key
	}
	return fmt.Sprintf("%s=%q", h.Key, h.Value)
}

// Headers are a record's headers, in order. Keys may repeat. Neither Millrace nor user
// code may change a Headers value in place, because the siblings of a branch may share
// it. [Headers.With] and [Headers.Without] return a new one.
type Headers []Header

// Get returns the value of the last header with the key, and whether there is one.
func (h Headers) Get(key string) ([]byte, bool) {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].Key == key {
			return h[i].Value, true
		}
	}
	return nil, false
}

// With returns the headers with one more at the end. h is not changed.
func (h Headers) With(key string, value []byte) Headers {
	out := make(Headers, len(h), len(h)+1)
	copy(out, h)
	return append(out, Header{Key: key, Value: value})
}

// Without returns the headers that do not have the key. h is not changed.
func (h Headers) Without(key string) Headers {
	out := make(Headers, 0, len(h))
	for _, header := range h {
		if header.Key != key {
			out = append(out, header)
		}
	}
	return out
}

// Record is one record on its way through a topology. If Key or Value is absent, it holds
// the zero value.
//
// Records are passed by value: a change of a field is seen by nobody else.
type Record[K, V any] struct {
	Key   K
	Value V

	// NoKey and NoValue say that the Kafka record has no key, or no value (a tombstone).
	// They are false in the zero Record: it has both.
	NoKey, NoValue bool

	// Timestamp is the event time. If user code forwards or returns a record with the
	// zero Timestamp, the record gets the time of the call: see [Context.Forward].
	Timestamp Timestamp
	Headers   Headers
}

// NewRecord returns a record with key and value present and no headers.
func NewRecord[K, V any](key K, value V, at Timestamp) Record[K, V] {
	return Record[K, V]{Key: key, Value: value, Timestamp: at}
}

// WithKey returns r with another key, of any type; the key is present.
func WithKey[K2, K, V any](r Record[K, V], key K2) Record[K2, V] {
	return Record[K2, V]{Key: key, Value: r.Value, NoValue: r.NoValue, Timestamp: r.Timestamp, Headers: r.Headers}
}

// WithValue returns r with another value, of any type; the value is present.
func WithValue[V2, K, V any](r Record[K, V], value V2) Record[K, V2] {
	return Record[K, V2]{Key: r.Key, Value: value, NoKey: r.NoKey, Timestamp: r.Timestamp, Headers: r.Headers}
}
