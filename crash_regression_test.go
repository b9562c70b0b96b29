package millrace

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The offsets of all tasks of an assignment are read together. While the read waits for
// another transaction to end, some of the tasks may be taken away. The other tasks must
// still run.
func TestTasksTakenAwayWhileOffsetsAreRead(t *testing.T) {
	t.Parallel()
	torture(t, crashConfig{processes: 2, records: 40, every: time.Millisecond, before: func(w *world) {
		unstable := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.UnstableOffsetCommit, Count: -1})
		time.AfterFunc(5*time.Second, unstable.Remove)
	}}).report(t)
}

// A process that has taken over a partition must not begin before the transaction of the
// former owner has ended, even if that transaction is the first to commit an offset of
// the partition.
func TestFirstCommitOfZombie(t *testing.T) {
	t.Parallel()
	plan := func(_ *rand.Rand, process int) []mishap {
		return []mishap{{kind: stuckZombie, at: afterOffsets, lasts: 2 * crashSession, late: time.Second}}
	}
	for seed := range uint64(3) {
		torture(t, crashConfig{seed: seed, processes: 2, records: 100, every: time.Millisecond, plan: plan, transactionTimeout: 10 * time.Second}).report(t)
	}
}

// A worker may commit with an old member ID after its process has lost its session and
// joined again. That commit is fenced, but this does not mean that another process
// exists.
func TestCommitFencedByItself(t *testing.T) {
	t.Parallel()
	plan := always(3, func(rng *rand.Rand) mishap {
		return mishap{kind: refuseCommit, at: afterFlush, n: rng.IntN(4), err: kerr.FencedInstanceID}
	})
	torture(t, crashConfig{processes: 2, records: 100, every: 10 * time.Millisecond, plan: plan}).report(t)
}
