package millrace

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/txn"
)

// place is where something may happen to a process.
type place string

const (
	inProcessing = place("processing")
	beforeFlush  = place(txn.BeforeFlush)
	afterFlush   = place(txn.AfterFlush)
	afterOffsets = place(txn.AfterOffsets)
	beforeEnd    = place(txn.BeforeEnd)
	beforeApply  = place(txn.AfterEnd)
	afterApply   = place("after apply")
	inRestore    = place("restoring")
	atAssignment = place("assignment")
	atRevocation = place("revocation")
)

var (
	commitPlaces = []place{inProcessing, beforeFlush, afterFlush, afterOffsets, beforeEnd, beforeApply, afterApply}
	allPlaces    = append([]place{inRestore, atAssignment, atRevocation}, commitPlaces...)
)

// mishap is something that happens to a process when it reaches a place for the n-th time
// after the previous mishap.
type mishap struct {
	kind  kind
	at    place
	n     int
	keep  int           // percent of what was not synced that a crash leaves
	lasts time.Duration // of a freeze, or until a line is mended
	late  time.Duration // how much longer a stuck worker is stuck
	key   kmsg.Key      // of a request about the membership
	err   *kerr.Error   // of a refusal
}

func (m mishap) String() string {
	if m.err != nil {
		return fmt.Sprintf("%s (%s) at %s", m.kind, m.err.Message, m.at)
	}
	return fmt.Sprintf("%s at %s", m.kind, m.at)
}

// kind is the kind of a mishap.
type kind string

const (
	crash        = kind("crash")
	loseDisk     = kind("crash with loss of the disk")
	crashUnsent  = kind("crash while EndTxn is sent")     // the broker does not get it
	crashSent    = kind("crash while EndTxn is answered") // the broker does
	loseRequest  = kind("EndTxn lost")                    // and the line is down
	loseAnswer   = kind("answer to EndTxn lost")          // the same
	zombie       = kind("zombie")                         // the network freezes
	stuckZombie  = kind("zombie with a stuck worker")     // and a worker is stuck
	refuseCommit = kind("offset commit refused")          // by err
	refuseEnd    = kind("EndTxn refused")                 // by err
	refuseRecord = kind("produced records refused")       // by err
	refuseGroup  = kind("group refuses")                  // a membership request, by err
	moveGroups   = kind("coordinators move")              // group and transactions
	restart      = kind("restart")                        // graceful
)

// mishapPatience bounds the wait for a place that is not reached.
const mishapPatience = 1200 * time.Millisecond

// at is called when the life reaches a place. It triggers the mishap that the plan has
// for it.
func (l *life) at(here place) {
	if m, ok := l.p.next(l, here); ok {
		l.p.w.note("process %s: %v", l.p.name, m)
		l.p.w.mu.Lock()
		l.p.w.happened[m.String()]++
		l.p.w.mu.Unlock()
		l.happen(m)
	}
}

// next takes the first mishap of the plan if it is due.
func (p *process) next(l *life, here place) (mishap, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.killed || len(p.plan) == 0 || p.w.calm.Err() != nil {
		return mishap{}, false
	}
	m := &p.plan[0]
	now := time.Now()
	switch {
	case now.After(p.due):
		p.plan, p.due = p.plan[1:], now.Add(mishapPatience)
		p.w.planned.Add(-1)
		return mishap{}, false
	case m.at != here:
		return mishap{}, false
	}
	if m.n--; m.n >= 0 {
		return mishap{}, false
	}
	taken := *m
	p.plan, p.due = p.plan[1:], now.Add(taken.lasts+taken.late+mishapPatience)
	p.w.planned.Add(-1)
	return taken, true
}

func (l *life) happen(m mishap) {
	switch m.kind {
	case crash:
		l.kill(m.keep)
	case loseDisk:
		l.loseDisk()
	case crashUnsent, crashSent:
		l.line.set(&trap{key: kmsg.EndTxn, passes: m.kind == crashSent, sprung: func() { l.kill(m.keep) }})
	case loseRequest, loseAnswer:
		l.line.set(&trap{key: kmsg.EndTxn, passes: m.kind == loseAnswer, sprung: func() { l.down(m.lasts) }})
	case zombie:
		l.freeze(m.lasts)
	case stuckZombie:
		l.freeze(m.lasts)
		l.stand(m.lasts + m.late)
	case refuseCommit:
		l.p.w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: m.err})
	case refuseEnd:
		l.p.w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: m.err})
	case refuseRecord:
		l.p.w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: m.err, When: func(r kmsg.Request) bool {
			return r.(*kmsg.ProduceRequest).TransactionID != nil // not the test's own
		}})
	case refuseGroup:
		l.p.w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{m.key}, Group: crashApp, TopLevel: m.key != kmsg.OffsetFetch, Err: m.err})
	case moveGroups:
		l.p.w.cluster.RehashCoordinators()
	case restart:
		l.stop()
	}
}

// down cuts the line for a while.
func (l *life) down(d time.Duration) {
	l.line.sever()
	time.AfterFunc(d, func() {
		if l.alive() {
			l.line.mend()
		}
	})
}

func (l *life) freeze(d time.Duration) {
	l.line.freeze()
	time.AfterFunc(d, l.line.thaw)
}

// stand blocks the calling goroutine for a while, as long as the process lives.
func (l *life) stand(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ended:
	}
}

// loseDisk kills the process and its disk. The next life starts with an empty disk.
func (l *life) loseDisk() {
	l.kill(0)
	p := l.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fs = newDisk()
	p.leaveDir(false)
}

// always is a plan of n mishaps.
func always(n int, one func(*rand.Rand) mishap) func(*rand.Rand, int) []mishap {
	return func(rng *rand.Rand, _ int) []mishap {
		plan := make([]mishap, n)
		for i := range plan {
			plan[i] = one(rng)
		}
		return plan
	}
}

// anything is a plan of n mishaps of all kinds.
func anything(n int) func(*rand.Rand, int) []mishap { return always(n, random) }

func crashAt(rng *rand.Rand, at place) mishap {
	often := map[place]int{inProcessing: 40, inRestore: 30, atAssignment: 1, atRevocation: 1}
	n, ok := often[at]
	if !ok {
		n = 6
	}
	return mishap{kind: crash, at: at, n: rng.IntN(n), keep: rng.IntN(101)}
}

func random(rng *rand.Rand) mishap {
	m := mishap{at: commitPlaces[rng.IntN(len(commitPlaces))], n: rng.IntN(6), keep: rng.IntN(101), lasts: time.Duration(rng.IntN(800)) * time.Millisecond}
	pick := func(errs ...*kerr.Error) *kerr.Error { return errs[rng.IntN(len(errs))] }
	switch dice := rng.IntN(100); {
	case dice < 40:
		return crashAt(rng, allPlaces[rng.IntN(len(allPlaces))])
	case dice < 50:
		m.kind, m.at = []kind{crashUnsent, crashSent}[rng.IntN(2)], beforeEnd
	case dice < 60:
		m.kind, m.at = []kind{loseRequest, loseAnswer}[rng.IntN(2)], beforeEnd
		m.lasts = time.Duration(rng.IntN(4000)) * time.Millisecond
	case dice < 70:
		m.kind = []kind{zombie, stuckZombie}[rng.IntN(2)]
		m.lasts = crashSession + time.Duration(rng.IntN(2000))*time.Millisecond
		m.late = time.Duration(rng.IntN(1000)) * time.Millisecond
	case dice < 80:
		m.kind, m.at = refuseCommit, afterFlush
		m.err = pick(kerr.UnknownServerError, kerr.RequestTimedOut, kerr.CoordinatorNotAvailable, kerr.ConcurrentTransactions, kerr.IllegalGeneration,
			kerr.UnknownMemberID, kerr.FencedInstanceID, kerr.InvalidProducerEpoch)
	case dice < 85:
		m.kind, m.at = refuseEnd, beforeEnd
		m.err = pick(kerr.UnknownServerError, kerr.CoordinatorNotAvailable, kerr.ConcurrentTransactions, kerr.InvalidTxnState, kerr.InvalidProducerEpoch)
	case dice < 90:
		m.kind = refuseGroup
		refusals := []struct {
			key  kmsg.Key
			errs []*kerr.Error
		}{
			{kmsg.Heartbeat, []*kerr.Error{kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.RebalanceInProgress, kerr.NotCoordinator}},
			{kmsg.JoinGroup, []*kerr.Error{kerr.UnknownMemberID, kerr.NotCoordinator, kerr.RebalanceInProgress}},
			{kmsg.SyncGroup, []*kerr.Error{kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.RebalanceInProgress}},
			{kmsg.OffsetFetch, []*kerr.Error{kerr.UnstableOffsetCommit, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress}},
		}
		r := refusals[rng.IntN(len(refusals))]
		m.key, m.err = r.key, pick(r.errs...)
	case dice < 92:
		m.kind = moveGroups
	case dice < 94:
		m.kind = refuseRecord
		m.err = pick(kerr.UnknownServerError, kerr.RequestTimedOut, kerr.NotLeaderForPartition, kerr.InvalidProducerEpoch)
	case dice < 97:
		m.kind = restart
	default:
		m.kind = loseDisk
	}
	return m
}
