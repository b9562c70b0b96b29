package processor

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"
	"time"
)

// Phase says what a task was doing when an error happened.
type Phase int

const (
	// Decode turns the bytes of an input record into a key and a value, and extracts its
	// timestamp.
	Decode Phase = iota
	// Process runs user functions, punctuators and stores.
	Process
	// Produce encodes an output record, chooses its partition, and waits for the broker
	// to take it.
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
	// Fail stops the application: Run returns the error. The records before the failed
	// one are committed if that takes no longer than a few seconds. A restart resumes at
	// the failed record.
	Fail Action = iota
	// Skip drops the input of the failing node, counts and logs it, and goes on with the
	// next record. Three things stay: the results of the node's siblings, records that
	// the node had forwarded, and its writes to stores. In a table that is derived from
	// another one, the row is deleted. If a function fails there again for that row,
	// when a record changes another row or replaces it, the error is logged, and nothing
	// is dropped or counted.
	Skip
	// DeadLetter does what Skip does, and also writes the dropped input record,
	// unchanged, to the dead letter topic, in the same transaction.
	DeadLetter
	// Retry calls the function again, up to ErrorPolicy.Retries times, and then acts as
	// ErrorPolicy.Exhausted says. There are three special cases:
	//
	//   - If the node has stores, or the function has already forwarded a record, the
	//     function alone is not called again. Instead the transaction aborts, and the
	//     task replays from the last commit.
	//   - If the broker refuses a record, the record is sent again.
	//   - If the configuration of the topic excludes a record, it is not sent again.
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
// The committed offsets are right under every action: they pass a skipped record, and
// never pass a failed one. If a changelog cannot take a record, the task always fails,
// whatever the policy says. The error then names the input record that changed the row
// last.
//
// If one record of a batch is bad, a broker refuses the whole batch. Millrace then sends
// the records one by one, and the policy sees only those that are refused alone. The
// first refusal costs an abort. A record's size counts as the broker counts it, after
// compression.
type ErrorPolicy struct {
	// Decode, Process and Produce are the actions for the three phases. Default: Fail.
	Decode, Process, Produce Action

	// Handle, if not nil, decides instead of the three fields above. It must not block
	// for long, because the task waits for it.
	Handle func(*Error) Action

	// DeadLetterTopic is the topic of dead letters. It must exist, and the application
	// must not read it: a letter that fails again would come back without end. It must be
	// set if an action is DeadLetter. If Handle is set, it must be set if Handle may
	// return DeadLetter; without it, such an error fails.
	//
	// With a DeadLetterTopic, a table that merges updates keeps the fetched records in
	// memory until the commit.
	DeadLetterTopic string

	// Retries is how often Retry tries again. Default: 3.
	Retries int

	// RetryBackoff is the pause before the first retry. It doubles with each retry.
	// Default: 100 ms.
	RetryBackoff time.Duration

	// Exhausted is the action when all retries have failed. It must not be Retry.
	// Default: Fail.
	Exhausted Action
}

// Validate returns all problems of the policy, joined, or nil if there is none.
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
			problem(a.field, "is %d: use Fail, Skip, DeadLetter or Retry", int(a.action))
		}
		needsTopic = needsTopic || a.action == DeadLetter
	}
	if p.Exhausted == Retry {
		problem("Exhausted", "is Retry, but it says what happens when all retries have failed: use Fail, Skip or DeadLetter")
	}
	if needsTopic && p.DeadLetterTopic == "" {
		problem("DeadLetterTopic", "is empty, but an action is DeadLetter: set it, or choose another action")
	}
	if p.Retries < 0 {
		problem("Retries", "is %d: use 0 or more", p.Retries)
	}
	if p.RetryBackoff < 0 {
		problem("RetryBackoff", "is %v: use 0 or more", p.RetryBackoff)
	}
	return errors.Join(problems...)
}

// These are the headers that a dead letter has beside those of the input record. Its key,
// value and timestamp are those of the input record in Kafka. Two cases differ:
//
//   - Behind a table that merges updates, the input record is the one that changed the
//     row last.
//   - In a punctuator and in Flush there is no record: key and value are absent, and
//     [DeadLetterTopic] is empty.
//
// The dead letter topic may not accept the record as it is:
//
//   - If it does not accept the timestamp, the letter has the current time, and the
//     original is in [DeadLetterTimestamp].
//   - If it is compacted and the record has no key, the letter's key is
//     "topic/partition@offset" of the record, and [DeadLetterOmitted] says so.
//   - If the letter is too large, the value is left out; if that is not enough, the
//     record's headers, then the key. [DeadLetterOmitted] lists them.
//   - If the topic refuses even that, the letter is lost, with an error in the log. The
//     application goes on.
//   - If the topic is gone, or the application may not write to it, the application
//     fails.
const (
	DeadLetterError     = "millrace.error"     // text of the error
	DeadLetterPhase     = "millrace.phase"     // decode, process or produce
	DeadLetterNode      = "millrace.node"      // name of the node
	DeadLetterTopic     = "millrace.topic"     // topic of the input record
	DeadLetterPartition = "millrace.partition" // partition of the input record, decimal
	DeadLetterOffset    = "millrace.offset"    // offset of the input record, decimal

	// DeadLetterTimestamp is the input record's timestamp in ms, decimal. It is set only
	// if the dead letter has another timestamp.
	DeadLetterTimestamp = "millrace.timestamp"
	// DeadLetterOmitted names what was left out of the dead letter because the topic did
	// not accept it, such as "value: 3145728 bytes". There may be several.
	DeadLetterOmitted = "millrace.omitted"
)

// Error is an error of a task, with the place where it happened. Run returns one when the
// error policy's action is Fail.
type Error struct {
	Phase Phase
	Node  string // name of the node

	// Topic, Partition and Offset identify the input record that was being processed. In
	// a punctuator and in Flush, Topic is empty.
	Topic     string
	Partition int32
	Offset    int64

	// Key and Value are the input record's bytes. They may be read only during
	// ErrorPolicy.Handle. They are nil in a punctuator. Behind a table that merges
	// updates they are nil unless there is a DeadLetterTopic.
	Key, Value []byte

	// Err is the cause. If user code panicked, it is a [*PanicError].
	Err error
}

// Error names the node, the phase, the record and the cause.
func (e *Error) Error() string {
	if e.Topic == "" {
		return fmt.Sprintf("node %s: %s: in a punctuator or in Flush: %v", e.Node, e.Phase, e.Err)
	}
	return fmt.Sprintf("node %s: %s: record %s/%d@%d: %v", e.Node, e.Phase, e.Topic, e.Partition, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrOutsideCall is in the error of Run, with the node and the method, if a processor's
// [Context] was used outside of a call of Init, Process, Flush or a punctuator. The error
// policy is not asked, and nothing that the task has done since its last commit is
// committed.
//
// During a call, a use by another goroutine is detected only by package topologytest and,
// often, by the race detector.
var ErrOutsideCall = errors.New("a Context was used outside of a call of Init, Process, Flush or a punctuator, or by a goroutine other than that of the call: " +
	"keep the results of a goroutine in a channel or a field, and forward them in a later call, such as a punctuator")

// PanicError is the cause of an [Error] when user code panicked.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // the stack at that time
}

// Error returns the text of the panic and where it happened: the function, the file
// without its folder, and the line.
func (e *PanicError) Error() string {
	if at := e.place(); at != "" {
		return fmt.Sprintf("panic: %v, in %s", e.Value, at)
	}
	return fmt.Sprintf("panic: %v", e.Value)
}

// place finds the function that panicked in the stack as runtime/debug.Stack writes it. A
// frame takes two lines. The function is the first below panic that does not belong to
// the runtime. If a function of this library has refused how it was called, such as
// state.Open, the function is the one that has called it.
func (e *PanicError) place() string {
	_, crashed := e.Value.(runtime.Error)
	lines := strings.Split(string(e.Stack), "\n")
	for i, below := 1, false; i+1 < len(lines); i += 2 {
		switch f := lines[i]; {
		case strings.HasPrefix(f, "panic("):
			below = true
		case below && !strings.HasPrefix(f, "runtime.") && (crashed || !refuses(f)):
			if args := strings.LastIndexByte(f, '('); args > 0 {
				f = f[:args]
			}
			file, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " ")
			return path.Base(f) + " (" + path.Base(file) + ")"
		}
	}
	return ""
}

// refuses reports whether a function is of a package that panics if it is called in the
// wrong way by a processor. f has the path of its package.
func refuses(f string) bool {
	f, own := strings.CutPrefix(f, "github.com/millrace-streams/millrace/")
	if !own {
		return false
	}
	switch pkg, _, _ := strings.Cut(f, "."); pkg {
	case "processor", "state", "windowstore", "sessionstore", "versionedstore", "internal/store":
		return true
	}
	return false
}

// Unwrap returns the panic's value if it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
