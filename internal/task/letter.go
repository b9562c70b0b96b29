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

// maxErrorText bounds the header of a dead letter: an error may quote its whole input.
const maxErrorText = 4 << 10

// deadLetter sends the input record as it is in Kafka, with the error in headers. A
// punctuator has none, nor has the Flush of a processor: the letter then has neither key
// nor value. What the topic does not take is left out, and said to be in a header.
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

// fit changes a dead letter until what is known of the topic does not exclude it.
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

// reduced returns a dead letter that the broker has refused with less of what it may have
// been refused for. When nothing is left to be changed, the letter is lost, which is
// logged: it is no reason to end the application.
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

// The functions that follow report whether they have changed the letter; none changes it
// twice.

// clamp replaces the timestamp by the time of now.
func (t *Task) clamp(out *graph.Output) bool {
	if has(out, processor.DeadLetterTimestamp, "") {
		return false
	}
	note(out, processor.DeadLetterTimestamp, strconv.FormatInt(int64(out.Timestamp), 10))
	out.Timestamp = processor.Timestamp(t.now.UnixMilli())
	return true
}

// giveKey gives a letter without a key the place of its record as the key.
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

// omitHeaders leaves the record's own headers out, and of a long error text the most.
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

// notes are the headers that come behind those of the record, which may have been a dead
// letter itself.
func notes(out *graph.Output) processor.Headers {
	for i := len(out.Headers) - 1; i >= 0; i-- {
		if out.Headers[i].Key == processor.DeadLetterError {
			return out.Headers[i:]
		}
	}
	return nil
}

// has reports whether a letter has a note with that key whose value begins like that.
func has(out *graph.Output, key, prefix string) bool {
	return slices.ContainsFunc(notes(out), func(h processor.Header) bool {
		return h.Key == key && strings.HasPrefix(string(h.Value), prefix)
	})
}
