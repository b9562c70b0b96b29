package assignment

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/millrace-streams/millrace/internal/taskid"
)

// Subscription is the message from a process to the group's leader when the process
// joins. It does not contain the tasks that the process runs: the protocol already
// transmits their partitions.
type Subscription struct {
	ProcessID   string
	Fingerprint string // of its topology
	Endpoint    string // empty if it cannot be reached
	Capacity    int    // workers; less than one counts as one
	// Nonce changes when the process requests a rebalance and nothing else has changed.
	// If a member other than the leader joins with the same bytes, the coordinator
	// ignores it. The [Balancer] sets Nonce.
	Nonce uint64
	// Lags has an entry for each task with state on the disk: the number of changelog
	// records by which this state is behind. A negative number counts as zero.
	Lags map[taskid.ID]int64
	// Matched stands for the topics that match the patterns of the topology, as far as
	// the process knows them. The [Balancer] sets it.
	Matched string
}

// Append appends the subscription as user data: the two bytes of the format, ProcessID,
// Fingerprint, Endpoint, Capacity, Nonce, the list of lags, and Matched. A lag is a task
// and a number.
func (s Subscription) Append(dst []byte) []byte {
	dst = append(dst, format, readable)
	dst = appendString(dst, s.ProcessID)
	dst = appendString(dst, s.Fingerprint)
	dst = appendString(dst, s.Endpoint)
	dst = binary.AppendUvarint(dst, uint64(max(s.Capacity, 1)))
	dst = binary.AppendUvarint(dst, s.Nonce)
	dst = binary.AppendUvarint(dst, uint64(len(s.Lags)))
	for _, task := range slices.SortedFunc(maps.Keys(s.Lags), taskid.ID.Compare) {
		dst = appendTask(dst, task)
		dst = binary.AppendUvarint(dst, uint64(max(s.Lags[task], 0)))
	}
	return appendString(dst, s.Matched)
}

// ParseSubscription reads what [Subscription.Append] writes. If a later format requires a
// later reader, it returns a [*FormatError].
func ParseSubscription(src []byte) (Subscription, error) {
	r := read(src)
	s := Subscription{
		ProcessID:   r.string(),
		Fingerprint: r.string(),
		Endpoint:    r.string(),
		Capacity:    int(r.number(math.MaxInt32)),
		Nonce:       r.number(math.MaxUint64),
		Lags:        map[taskid.ID]int64{},
	}
	r.eachTask(func(t taskid.ID) { s.Lags[t] = int64(r.number(math.MaxInt64)) })
	s.Matched = r.since2()
	if err := r.close(); err != nil {
		return Subscription{}, fmt.Errorf("subscription of a group member: %w", err)
	}
	return s, nil
}
