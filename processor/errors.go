package processor

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// Phase says what a task was doing when an error happened.
type Phase int

const (
	// Decode is turning the bytes of an input record into a key and a value, and its
	// timestamp.
	Decode Phase = iota
	// Process is running the user's functions, punctuators and stores.
	Process
	// Produce is encoding an output record, choosing its partition, and having the broker
	// take it.
	Produce
)

// String returns the phase in lower case.
func (p Phase) String() string {
	switch p {
	case Decode:
		return "decode"
	case Process:
		return "process"
	case Produce:
		return "produce"
	}
	return fmt.Sprintf("phase(%d)", int(p))
}

// Action is what the error policy does about an error.
type Action int

const (
	// Fail stops the application: Run returns the error. What came before the record is
	// committed, if that takes no longer than a few seconds, and a restart resumes at the
	// record.
	Fail Action = iota
	// Skip drops what the failing node was given, counts and logs it, and goes on with
	// the next. Siblings of the node, what it forwarded before, and what it wrote to
	// stores before stay.
	Skip
	// DeadLetter is Skip, and writes the input record as it was to the dead letter topic,
	// within the same transaction.
	DeadLetter
	// Retry calls the function again, up to ErrorPolicy.Retries times, and then does as
	// ErrorPolicy.Exhausted says. A function whose node has stores, or that has forwarded
	// already, is not called again on its own: the transaction aborts and the task
	// replays from the last commit. A record that the broker refuses is sent again. One
	// that the configuration of its topic excludes is not.
	Retry
)

// String returns the action in lower case.
func (a Action) String() string {
	switch a {
	case Fail:
		return "fail"
	case Skip:
		return "skip"
	case DeadLetter:
		return "dead letter"
	case Retry:
		return "retry"
	}
	return fmt.Sprintf("action(%d)", int(a))
}

// ErrorPolicy says what happens to errors, by phase. The zero value fails at every error.
//
// Under every action the committed offsets stay right: a skipped record is committed
// past, a failed one never is. A record that a changelog cannot take always fails,
// whatever the policy; the error names the input record that changed the row last.
//
// A broker refuses a whole batch for one record in it. The policy meets the records that
// are refused when they are sent alone, and no others; the first refusal costs an abort.
// Sizes count as the broker counts them, after compression.
type ErrorPolicy struct {
	// Decode, Process and Produce are the actions of the three phases. Default: Fail.
	Decode, Process, Produce Action

	// Handle, if not nil, is asked instead of the three fields above. It must not block
	// for long: the task waits for it.
	Handle func(*Error) Action

	// DeadLetterTopic is the topic of dead letters. It must exist, and must be set if an
	// action is DeadLetter or Handle is set and may return it. An error for which there
	// is no topic fails. Where a table merges updates, what was fetched then stays in
	// memory until the commit.
	DeadLetterTopic string

	// Retries is how often a Retry tries again. Default: 3.
	Retries int

	// RetryBackoff is the pause before the first try again; it doubles each time.
	// Default: 100 ms.
	RetryBackoff time.Duration

	// Exhausted is what happens when all retries have failed. Default: Fail. Retry is not
	// allowed.
	Exhausted Action
}

// Validate returns all that is wrong with the policy, joined; nil if nothing is.
func (p ErrorPolicy) Validate() error {
	var problems []error
	problem := func(field, format string, args ...any) {
		problems = append(problems, fmt.Errorf(field+" "+format, args...))
	}
	needsTopic := false
	actions := []struct {
		field  string
		action Action
	}{{"Decode", p.Decode}, {"Process", p.Process}, {"Produce", p.Produce}, {"Exhausted", p.Exhausted}}
	for _, a := range actions {
		if a.action < Fail || a.action > Retry {
			problem(a.field, "is %d: want Fail, Skip, DeadLetter or Retry", int(a.action))
		}
		needsTopic = needsTopic || a.action == DeadLetter
	}
	if p.Exhausted == Retry {
		problem("Exhausted", "is Retry: it says what happens when retries have failed")
	}
	if needsTopic && p.DeadLetterTopic == "" {
		problem("DeadLetterTopic", "is empty although an action is DeadLetter")
	}
	if p.Retries < 0 {
		problem("Retries", "is %d: want 0 or more", p.Retries)
	}
	if p.RetryBackoff < 0 {
		problem("RetryBackoff", "is %v: want 0 or more", p.RetryBackoff)
	}
	return errors.Join(problems...)
}

// Headers of a dead letter, beside those of the input record. Key, value and timestamp
// are the input record's as they are in Kafka. Behind a table that merges updates, that
// is the record that changed the row last. Without a record, in a punctuator or in Flush,
// key and value are absent, and the topic is empty.
//
// The dead letter topic may not take a record as it is:
//
//   - If it does not take the timestamp, the letter has the current time, and the
//     original in [DeadLetterTimestamp].
//   - If it is compacted and the record has no key, the key is "topic/partition@offset"
//     of the record, which [DeadLetterOmitted] says.
//   - If the letter is too large, the value is left out; if that is not enough, the
//     record's headers, then the key. [DeadLetterOmitted] says what.
//   - If the topic refuses all of that, the letter is lost, with an error in the log. The
//     application goes on.
//   - If the topic is gone, or must not be written, the application fails.
const (
	DeadLetterError     = "millrace.error"     // text of the error
	DeadLetterPhase     = "millrace.phase"     // decode, process or produce
	DeadLetterNode      = "millrace.node"      // name of the node
	DeadLetterTopic     = "millrace.topic"     // topic of the input record
	DeadLetterPartition = "millrace.partition" // partition of the input record, decimal
	DeadLetterOffset    = "millrace.offset"    // offset of the input record, decimal

	// DeadLetterTimestamp is the input record's timestamp in ms, decimal. It is there
	// only if the dead letter has another timestamp.
	DeadLetterTimestamp = "millrace.timestamp"
	// DeadLetterOmitted names what the dead letter lacks because the topic does not take
	// it: "value: 3145728 bytes". There may be several.
	DeadLetterOmitted = "millrace.omitted"
)

// Error is an error of a task, with the place where it happened. Run returns one after
// the action Fail.
type Error struct {
	Phase Phase
	Node  string // name of the node

	// Topic, Partition and Offset are those of the input record that was being processed;
	// Topic is empty in a punctuator and in Flush.
	Topic     string
	Partition int32
	Offset    int64

	// Key and Value are the input record's bytes, to be read only during
	// ErrorPolicy.Handle. They are nil in a punctuator, and behind a table that merges
	// updates unless there is a DeadLetterTopic.
	Key, Value []byte

	// Err is the cause; a [*PanicError] if user code panicked.
	Err error
}

// Error names the node, the phase, the record and the cause.
func (e *Error) Error() string {
	if e.Topic == "" {
		return fmt.Sprintf("node %s: %s: in a punctuator or Flush: %v", e.Node, e.Phase, e.Err)
	}
	return fmt.Sprintf("node %s: %s: record %s/%d@%d: %v", e.Node, e.Phase, e.Topic, e.Partition, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrOutsideCall is returned by Run, with the node and the method, if a processor's
// [Context] was used outside of a call of Init, Process, Flush or a punctuator. No error
// policy applies, and nothing that the task has done since its last commit is committed.
// A use by another goroutine during a call is found only by package topologytest, and
// often by the race detector.
var ErrOutsideCall = errors.New("a Context must be used only inside of a call of Init, Process, Flush or a punctuator, and only by the goroutine of that call: " +
	"let a goroutine leave its results where a later call, such as a punctuator's, takes them")

// PanicError is the cause of an [Error] when user code panicked.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // the stack at that time
}

// Error returns the text of the panic, and where it happened: the function, the file
// without its folder, and the line.
func (e *PanicError) Error() string {
	if at := e.place(); at != "" {
		return fmt.Sprintf("panic: %v, in %s", e.Value, at)
	}
	return fmt.Sprintf("panic: %v", e.Value)
}

// place finds in the stack, as runtime/debug.Stack writes it, the function that panicked:
// of two lines each, the first below panic itself that is not one of the runtime's.
func (e *PanicError) place() string {
	lines := strings.Split(string(e.Stack), "\n")
	for i, below := 1, false; i+1 < len(lines); i += 2 {
		switch f := lines[i]; {
		case strings.HasPrefix(f, "panic("):
			below = true
		case below && !strings.HasPrefix(f, "runtime."):
			if args := strings.LastIndexByte(f, '('); args > 0 {
				f = f[:args]
			}
			file, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " ")
			return path.Base(f) + " (" + path.Base(file) + ")"
		}
	}
	return ""
}

// Unwrap returns the panic's value if it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
