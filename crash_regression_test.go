package millrace

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The offsets of all tasks of an assignment are read together. While that waits for the
// end of somebody's transaction, some of the tasks may be taken away; the others have to
// run nevertheless.
func TestTasksTakenAwayWhileOffsetsAreRead(t *testing.T) {
	t.Parallel()
	torture(t, crashConfig{processes: 2, records: 40, every: time.Millisecond, before: func(w *world) {
		unstable := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.UnstableOffsetCommit, Count: -1})
		time.AfterFunc(5*time.Second, unstable.Remove)
	}}).report(t)
}

// A process that has taken a partition over may not begin before its former owner's
// transaction has ended, also if that is the first that commits an offset of the
// partition.
func TestFirstCommitOfZombie(t *testing.T) {
	t.Parallel()
	plan := func(_ *rand.Rand, process int) []mishap {
		return []mishap{{kind: stuckZombie, at: afterOffsets, lasts: 2 * crashSession, late: time.Second}}
	}
	for seed := range uint64(3) {
		torture(t, crashConfig{seed: seed, processes: 2, records: 100, every: time.Millisecond, plan: plan, transactionTimeout: 10 * time.Second}).report(t)
	}
}

// A process whose session has ended may have joined again under another member ID when a
// worker commits with the old one. That this is fenced does not mean that there is
// another process.
func TestCommitFencedByItself(t *testing.T) {
	t.Parallel()
	plan := always(3, func(rng *rand.Rand) mishap {
		return mishap{kind: refuseCommit, at: afterFlush, n: rng.IntN(4), err: kerr.FencedInstanceID}
	})
	torture(t, crashConfig{processes: 2, records: 100, every: 10 * time.Millisecond, plan: plan}).report(t)
}
