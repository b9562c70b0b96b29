package assignment

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/taskid"
)

// Code is the reason why a member has its tasks, or none.
type Code uint8

const (
	// Assigned is the normal case. The tasks are the member's part of the plan, which may
	// be empty.
	Assigned Code = iota
	// OtherTopology: no tasks, because the member's topology is not the leader's. A later
	// assignment may have tasks.
	OtherTopology
	// Unreadable: no tasks, because the leader could not read the member's subscription.
	Unreadable
	// MissingTopics: no member has tasks, because topics that the topology reads do not
	// exist.
	MissingTopics
)

// Assignment is the message from the group's leader to one process.
type Assignment struct {
	// Fingerprint is the fingerprint of the leader's topology. It differs from the
	// member's own only with [OtherTopology].
	Fingerprint string
	// Seen is the member as the leader saw it.
	Seen Seen
	Code Code
	// Message explains every Code except [Assigned], in words for a log.
	Message string
	// Awaited is set if a task waits for this member: its next owner gets it only after
	// this member has given it up and joined again.
	Awaited bool
	Tasks   Tasks
}

// Seen is what the leader read in a member's subscription. If it does not describe the
// member that receives it, the coordinator returned an assignment that it had stored for
// an earlier process with the same instance ID.
type Seen struct {
	Format      uint8 // of the subscription's bytes, 0 if there were none
	Fingerprint string
	Endpoint    string
	Matched     string
}

const awaited = 1 // flag

// Append appends the assignment as user data, in this order:
//
//   - the two bytes of the format;
//   - Fingerprint;
//   - Seen: format (a byte), fingerprint, endpoint;
//   - Code (a byte);
//   - Message;
//   - flags (a byte; 1 is Awaited);
//   - the list of active tasks;
//   - Seen.Matched.
func (a Assignment) Append(dst []byte) []byte {
	dst = append(dst, format, readable)
	dst = appendString(dst, a.Fingerprint)
	dst = append(dst, a.Seen.Format)
	dst = appendString(dst, a.Seen.Fingerprint)
	dst = appendString(dst, a.Seen.Endpoint)
	dst = append(dst, byte(a.Code))
	dst = appendString(dst, a.Message)
	var flags byte
	if a.Awaited {
		flags |= awaited
	}
	dst = append(dst, flags)
	return appendString(appendTasks(dst, a.Tasks.Active), a.Seen.Matched)
}

// ParseAssignment reads what [Assignment.Append] writes. If a later format requires a
// later reader, it returns a [*FormatError].
func ParseAssignment(src []byte) (Assignment, error) {
	r := read(src)
	a := Assignment{
		Fingerprint: r.string(),
		Seen:        Seen{Format: r.byte(), Fingerprint: r.string(), Endpoint: r.string()},
		Code:        Code(r.byte()),
		Message:     r.string(),
		Awaited:     r.byte()&awaited != 0,
	}
	r.eachTask(func(t taskid.ID) { a.Tasks.Active = append(a.Tasks.Active, t) })
	a.Seen.Matched = r.since2()
	if err := r.close(); err != nil {
		return Assignment{}, fmt.Errorf("assignment from the group's leader: %w", err)
	}
	return a, nil
}

// staleFor returns why the assignment was not made for a process that subscribed with s,
// in words for a log. It returns "" if the assignment was made for this process. A stale
// assignment must not be acted on. An assignment that refuses the member for its topology
// is not stale: the leader saw the member as it is, so asking again would not help.
func (a Assignment) staleFor(s Subscription) string {
	switch {
	case a.Seen.Format == 0:
		return "the group's leader gave this process no assignment"
	case a.Seen.Format != format:
		return fmt.Sprintf("the assignment was made for a process that subscribed in format %d, and this one subscribes in format %d", a.Seen.Format, format)
	case a.Code == Unreadable:
		return ""
	case a.Seen.Fingerprint != s.Fingerprint:
		return fmt.Sprintf("the assignment was made for a process with another topology (fingerprint %s, now %s)", a.Seen.Fingerprint, s.Fingerprint)
	case a.Seen.Endpoint != s.Endpoint:
		return fmt.Sprintf("the assignment was made for a process at another endpoint (%q, now %q)", a.Seen.Endpoint, s.Endpoint)
	}
	return ""
}

// outdatedFor returns why a process that subscribed with s should ask for another
// assignment, in words for a log, although it can act on this one. It returns "" if there
// is no reason.
func (a Assignment) outdatedFor(s Subscription) string {
	if a.Code == Assigned && a.Seen.Matched != s.Matched {
		return "the assignment was made when other topics matched the patterns of the topology"
	}
	return ""
}

// answer makes the assignment of one member, without tasks. userData is what the member
// joined with; s and err are the result of parsing it.
func (t Topology) answer(userData []byte, s Subscription, err error) Assignment {
	a := Assignment{Fingerprint: t.Fingerprint, Seen: Seen{Fingerprint: s.Fingerprint, Endpoint: s.Endpoint, Matched: s.Matched}}
	if len(userData) > 0 {
		a.Seen.Format = userData[0]
	}
	switch {
	case err != nil:
		a.Code = Unreadable
		a.Message = fmt.Sprintf("the group's leader cannot read the subscription of this process, so this process has no tasks: %v", err)
	case s.Fingerprint != t.Fingerprint:
		a.Code = OtherTopology
		a.Message = fmt.Sprintf("this process runs another topology (fingerprint %s) than the group's leader (%s), so it has no tasks; "+
			"it gets some once the leader runs this topology too: finish the roll-out, or give a different topology its own application ID",
			s.Fingerprint, t.Fingerprint)
	}
	return a
}
