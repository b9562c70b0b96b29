package task

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// maxErrorText bounds the error header of a dead letter, because an error may quote its
// whole input.
const maxErrorText = 4 << 10

// deadLetter sends the input record as it is in Kafka, with the error in headers. In a
// punctuator and in a processor's Flush there is no record; the letter then has neither
// key nor value. Parts that the topic does not accept are left out and listed in a
// header.
func (t *Task) deadLetter(e *processor.Error) error {
	out := graph.Output{
		Topic: t.cfg.Policy.DeadLetterTopic, Partition: -1,
		Key: e.Key, Value: e.Value, Timestamp: max(t.eventTime, 0),
	}
	if in := t.input(); in != nil {
		if out.Timestamp = in.Timestamp; t.current != nil {
			out.Timestamp = t.logTime
		}
		out.Headers = make(processor.Headers, len(in.Headers), len(in.Headers)+8)
		copy(out.Headers, in.Headers)
	}
	text := e.Err.Error()
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "")
	}
	for _, header := range [...]struct{ key, value string }{
		{processor.DeadLetterError, text},
		{processor.DeadLetterPhase, e.Phase.String()},
		{processor.DeadLetterNode, e.Node},
		{processor.DeadLetterTopic, e.Topic},
		{processor.DeadLetterPartition, strconv.Itoa(int(e.Partition))},
		{processor.DeadLetterOffset, strconv.FormatInt(e.Offset, 10)},
	} {
		note(&out, header.key, header.value)
	}
	t.fit(&out)
	return t.send(out)
}

// isLetter reports whether an output is a dead letter.
func (t *Task) isLetter(out *graph.Output) bool {
	return out.Node == nil && out.Topic == t.cfg.Policy.DeadLetterTopic
}

// fit changes a dead letter until it fits the known limits of the topic.
func (t *Task) fit(out *graph.Output) {
	limits := t.cfg.Out.Limits(out.Topic, false)
	if !limits.timely(out.Timestamp, t.now.UnixMilli()) {
		t.clamp(out)
	}
	if out.Key == nil && limits.Keyed {
		giveKey(out)
	}
	for _, reduce := range [...]func(*graph.Output) bool{omitValue, omitHeaders, omitKey} {
		if t.excluded(out, false) == nil {
			return
		}
		reduce(out)
	}
}

// reduced returns a refused dead letter without a part that may have caused the refusal.
// If nothing is left to remove, the letter is lost. This is logged, and does not end the
// application.
func (t *Task) reduced(r *Refusal) *graph.Output {
	out := r.Out
	out.Headers = slices.Clone(out.Headers)
	for _, reduce := range [...]func(*graph.Output) bool{t.clamp, giveKey, omitValue, omitHeaders} {
		if reduce(&out) {
			return &out
		}
	}
	m := t.nodes.Metadata()
	t.logger.Log(t.ctx, slog.LevelError, "a dead letter is lost: its topic refuses it in any form",
		"dead_letter_topic", out.Topic, "topic", m.Topic, "partition", m.Partition, "offset", m.Offset, "error", r.Err)
	return nil
}

// The following functions report whether they have changed the letter. None changes it
// twice.

// clamp replaces the timestamp by the current time.
func (t *Task) clamp(out *graph.Output) bool {
	if has(out, processor.DeadLetterTimestamp, "") {
		return false
	}
	note(out, processor.DeadLetterTimestamp, strconv.FormatInt(int64(out.Timestamp), 10))
	out.Timestamp = processor.Timestamp(t.now.UnixMilli())
	return true
}

// giveKey sets the position of the record as the key of a letter without a key.
func giveKey(out *graph.Output) bool {
	if out.Key != nil {
		return false
	}
	value := func(name string) []byte {
		v, _ := out.Headers.Get(name)
		return v
	}
	topic, partition := value(processor.DeadLetterTopic), value(processor.DeadLetterPartition)
	out.Key = fmt.Appendf(nil, "%s/%s@%s", topic, partition, value(processor.DeadLetterOffset))
	note(out, processor.DeadLetterOmitted, "key: the record has none, and the topic needs one")
	return true
}

func omitValue(out *graph.Output) bool {
	if out.Value == nil {
		return false
	}
	note(out, processor.DeadLetterOmitted, fmt.Sprintf("value: %d bytes", len(out.Value)))
	out.Value = nil
	return true
}

// omitHeaders removes the record's own headers, and cuts a long error text.
func omitHeaders(out *graph.Output) bool {
	const text = 200
	if has(out, processor.DeadLetterOmitted, "headers") {
		return false
	}
	var kept processor.Headers
	for _, h := range notes(out) {
		if h.Key == processor.DeadLetterError && len(h.Value) > text {
			h.Value = []byte(strings.ToValidUTF8(string(h.Value[:text]), ""))
		}
		kept = append(kept, h)
	}
	omitted := len(out.Headers) - len(kept)
	out.Headers = kept
	note(out, processor.DeadLetterOmitted, fmt.Sprintf("headers: %d", omitted))
	return true
}

func omitKey(out *graph.Output) bool {
	note(out, processor.DeadLetterOmitted, fmt.Sprintf("key: %d bytes", len(out.Key)))
	out.Key = nil
	return true
}

func note(out *graph.Output, key, value string) {
	out.Headers = append(out.Headers, processor.Header{Key: key, Value: []byte(value)})
}

// notes returns the headers after those of the record. The record may have been a dead
// letter itself.
func notes(out *graph.Output) processor.Headers {
	for i := len(out.Headers) - 1; i >= 0; i-- {
		if out.Headers[i].Key == processor.DeadLetterError {
			return out.Headers[i:]
		}
	}
	return nil
}

// has reports whether a letter has a note with the given key whose value begins with
// prefix.
func has(out *graph.Output, key, prefix string) bool {
	return slices.ContainsFunc(notes(out), func(h processor.Header) bool {
		return h.Key == key && strings.HasPrefix(string(h.Value), prefix)
	})
}
