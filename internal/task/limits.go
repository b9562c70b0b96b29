package task

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-streams/millrace/internal/batchsize"
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// Limits are the limits for records in a topic's configuration. The zero value accepts
// any record.
type Limits struct {
	// MaxBytes is the largest batch: the smaller of max.message.bytes and segment.bytes.
	// 0 means unknown.
	MaxBytes int
	// Setting is the name of the setting that gives MaxBytes.
	Setting string

	// Behind and Ahead are how far a timestamp may lie from the broker's clock, in ms. 0
	// means no bound.
	Behind, Ahead int64

	// Keyed: the topic is compacted, so a record needs a key.
	Keyed bool
	// Uncompressed: the broker stores batches uncompressed, so their size counts before
	// compression.
	Uncompressed bool
}

// LimitsOf reads the limits from a topic's configuration, with names and values as Kafka
// describes them. A missing setting is no limit.
//
// Source: Kafka's LogConfig and LogValidator. Before Kafka 3.6 one setting,
// message.timestamp.difference.max.ms, bounded both sides. Up to 3.9 it still does unless
// the newer settings are used.
func LimitsOf(configs map[string]string) *Limits {
	l := &Limits{
		Keyed:        strings.Contains(configs["cleanup.policy"], "compact"),
		Uncompressed: configs["compression.type"] == "uncompressed",
	}
	for _, setting := range []string{"max.message.bytes", "segment.bytes"} {
		if n, err := strconv.Atoi(configs[setting]); err == nil && n > 0 && (l.MaxBytes == 0 || n < l.MaxBytes) {
			l.MaxBytes, l.Setting = n, setting
		}
	}
	if configs["message.timestamp.type"] == "LogAppendTime" {
		return l // the broker replaces the timestamps
	}
	bound := func(setting string) int64 {
		for _, name := range []string{setting, "message.timestamp.difference.max.ms"} {
			if ms, err := strconv.ParseInt(configs[name], 10, 64); err == nil && ms >= 0 && ms != math.MaxInt64 {
				return max(ms, 1)
			}
		}
		return 0
	}
	l.Behind, l.Ahead = bound("message.timestamp.before.max.ms"), bound("message.timestamp.after.max.ms")
	return l
}

// TooLargeError is the cause of an error if a record is larger than its topic accepts.
type TooLargeError struct {
	Topic string
	// Bytes; Size is that of a batch that has only the record, compressed.
	Size, Limit int
	Setting     string // that Limit is the value of
}

// Error names the topic, its limit and the size.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("a record of %d bytes is larger than topic %s accepts (%s=%d)", e.Size, e.Topic, e.Setting, e.Limit)
}

// UnfitError is the cause of an error if a topic's configuration excludes a record for
// another reason than its size.
type UnfitError struct{ Topic, Reason string }

// Error names the topic and the reason.
func (e *UnfitError) Error() string {
	return fmt.Sprintf("topic %s does not accept the record: %s", e.Topic, e.Reason)
}

// clockSkew is how far the clocks of this machine and of a broker may differ. If a
// timestamp is that close to a bound, the broker decides.
const clockSkew = int64(10 * time.Minute / time.Millisecond)

// admit reports whether a record is certainly within the limits. It is a quick check.
func (l *Limits) admit(out *graph.Output, now int64) bool {
	fits := l.MaxBytes == 0 || batchsize.Overhead+batchsize.Bound(out.Key, out.Value, out.Headers) <= l.MaxBytes
	return fits && (out.Key != nil || !l.Keyed) && l.timely(out.Timestamp, now)
}

// timely reports whether the broker may accept a timestamp. -1 means no timestamp, which
// the broker does not check.
func (l *Limits) timely(at processor.Timestamp, now int64) bool {
	ms := int64(at)
	return ms == -1 || (l.Ahead == 0 || ms-now <= engine.Later(l.Ahead, clockSkew)) && (l.Behind == 0 || now-ms <= engine.Later(l.Behind, clockSkew))
}

// unfit returns a reason other than the size that excludes a record, or nil.
func (l *Limits) unfit(out *graph.Output, now int64) error {
	switch {
	case out.Key == nil && l.Keyed:
		return &UnfitError{out.Topic, "it has no key, and the topic is compacted"}
	case l.timely(out.Timestamp, now):
		return nil
	}
	at := time.UnixMilli(int64(out.Timestamp)).UTC().Format(time.RFC3339)
	where, setting, bound := "future", "message.timestamp.after.max.ms", l.Ahead
	if int64(out.Timestamp) < now {
		where, setting, bound = "past", "message.timestamp.before.max.ms", l.Behind
	}
	return &UnfitError{out.Topic, fmt.Sprintf("its timestamp %s is too far in the %s (%s=%d)", at, where, setting, bound)}
}

// check returns an error if the known limits of out's topic exclude out.
func (t *Task) check(out *graph.Output) error {
	if t.cfg.Out.Limits(out.Topic, false).admit(out, t.now.UnixMilli()) {
		return nil
	}
	err := t.excluded(out, false)
	if err != nil { // the configuration may have changed
		err = t.excluded(out, true)
	}
	return err
}

func (t *Task) excluded(out *graph.Output, fresh bool) error {
	limits := t.cfg.Out.Limits(out.Topic, fresh)
	if err := limits.unfit(out, t.now.UnixMilli()); err != nil {
		return err
	}
	if limits.MaxBytes == 0 {
		return nil
	}
	size := batchsize.Of(out.Key, out.Value, out.Headers)
	if size > limits.MaxBytes && !limits.Uncompressed {
		size = t.cfg.Out.Oversized(*out)
	}
	if size > limits.MaxBytes {
		return &TooLargeError{Topic: out.Topic, Size: size, Limit: limits.MaxBytes, Setting: limits.Setting}
	}
	return nil
}
