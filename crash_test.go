package millrace

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-streams/millrace/internal/runtime"
)

// The crash tests run several processes of an application, as they are, in one test
// process: on a fake cluster with a virtual network, under a virtual clock
// (testing/synctest), with databases in a file system that knows what was synced. Mishaps
// befall the processes at named places of the commit and outside it; at the end an
// independent reader compares all that is committed with a naive model.
//
// A seed decides about input and mishaps, not about the order of goroutines, so a seed
// that has failed may have to run more than once:
//
//	MILLRACE_TORTURE=full go test -run 'Torture|Crash|Unknown|Mutations' .         many seeds
//	MILLRACE_TORTURE=1 MILLRACE_SEED=17 MILLRACE_TORTURE_LOG=/tmp go test ...       one seed, as a failure says it; its log, with the requests that decide, is /tmp/17.log

// runs is how many seeds to run: a few in every test run, more with
// MILLRACE_TORTURE=full, or the number that it is.
func runs(few, full int) int {
	switch s := os.Getenv("MILLRACE_TORTURE"); s {
	case "":
		return few
	case "full":
		return full
	default:
		n, _ := strconv.Atoi(s)
		return n
	}
}

// firstSeed makes a run with the seed of one that has failed: MILLRACE_TORTURE=1
// MILLRACE_SEED=17.
func firstSeed() uint64 {
	seed, _ := strconv.ParseUint(os.Getenv("MILLRACE_SEED"), 10, 64)
	return seed
}

func (w *world) report(t *testing.T) {
	t.Helper()
	t.Logf("seed %d: %d commits, %d aborts, %d stores restored; %v", w.seed, w.commits, w.aborts, w.restored, w.happened)
	for _, v := range w.violations {
		t.Error(v)
	}
	if t.Failed() {
		t.Logf("again: MILLRACE_TORTURE=1 MILLRACE_SEED=%d MILLRACE_TORTURE_LOG=/tmp go test -run '^%s$' .", w.turn, strings.ReplaceAll(t.Name(), "/", "$/^"))
	}
}

// TestTorture lets anything happen to two to four processes.
func TestTorture(t *testing.T) {
	t.Parallel()
	for i := range runs(3, 500) {
		seed := firstSeed() + uint64(i)
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			torture(t, crashConfig{
				seed: seed, turn: seed, processes: 2 + rng.IntN(3), workers: 1 + rng.IntN(3), records: 300, every: 10 * time.Millisecond, plan: anything(10),
				commitInterval: time.Duration(5+rng.IntN(100)) * time.Millisecond, transactionTimeout: time.Duration(2+4*rng.IntN(3)) * time.Second,
			}).report(t)
		})
	}
}

// TestTortureAtLeastOnce lets anything happen to processes that may do things twice, and
// may lose nothing.
func TestTortureAtLeastOnce(t *testing.T) {
	t.Parallel()
	for i := range runs(1, 50) {
		seed := firstSeed() + uint64(i)
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			torture(t, crashConfig{seed: seed, turn: seed, guarantee: AtLeastOnce, processes: 3, records: 300, every: 10 * time.Millisecond, plan: anything(8)}).report(t)
		})
	}
}

// TestCrashAtEachStep lets both processes crash again and again at the same place. The
// parts that were not synced are lost, kept, or lost in part.
func TestCrashAtEachStep(t *testing.T) {
	t.Parallel()
	for i, at := range allPlaces {
		t.Run(string(at), func(t *testing.T) {
			for n := range runs(1, 20) {
				turn := firstSeed() + uint64(n)
				torture(t, crashConfig{
					seed: uint64(i) + 100*turn, turn: turn, processes: 2, records: 200, every: 10 * time.Millisecond,
					plan: always(4, func(rng *rand.Rand) mishap { return crashAt(rng, at) }),
				}).report(t)
			}
		})
	}
}

// TestKilledIsBackAtOnce holds that a process that was killed, wherever it was, and
// starts again with its directory waits for nothing that takes long: not for a session,
// not for a transaction to time out, not for a rebalance. The clock is virtual, so the
// figure is what it waits for, and not how fast the machine is.
func TestKilledIsBackAtOnce(t *testing.T) {
	t.Parallel()
	const atOnce, kills = time.Second, 3
	for i, at := range commitPlaces {
		t.Run(string(at), func(t *testing.T) {
			w := torture(t, crashConfig{
				seed: uint64(i), processes: 1, records: 200, every: 10 * time.Millisecond, session: time.Minute, transactionTimeout: time.Minute,
				plan: always(kills, func(rng *rand.Rand) mishap { return crashAt(rng, at) }),
			})
			w.report(t)
			if n := w.happened[mishap{kind: crash, at: at}.String()]; n != kills {
				t.Fatalf("killed %d times", n)
			}
			for _, d := range w.comebacks { // the last life is among them
				if d > atOnce {
					t.Errorf("%v from a start to the first commit", d)
				}
			}
			t.Log(w.comebacks)
		})
	}
}

// TestUnknownOutcomes lets EndTransaction end without an answer, whether it has arrived
// or not, and the process live on or die.
func TestUnknownOutcomes(t *testing.T) {
	t.Parallel()
	for i, kind := range []kind{loseRequest, loseAnswer, crashUnsent, crashSent} {
		t.Run(string(kind), func(t *testing.T) {
			for n := range runs(1, 20) {
				turn := firstSeed() + uint64(n)
				torture(t, crashConfig{
					seed: uint64(i) + 100*turn, turn: turn, processes: 2, records: 200, every: 10 * time.Millisecond,
					plan: always(4, func(rng *rand.Rand) mishap {
						return mishap{kind: kind, at: beforeEnd, n: rng.IntN(4), keep: rng.IntN(101), lasts: time.Duration(rng.IntN(4000)) * time.Millisecond}
					}),
				}).report(t)
			}
		})
	}
}

// TestNothingHappens shows that the model is right without mishaps.
func TestNothingHappens(t *testing.T) {
	t.Parallel()
	w := torture(t, crashConfig{processes: 2, records: 400, every: 10 * time.Millisecond})
	w.report(t)
	if w.aborts > 0 {
		t.Errorf("%d aborts", w.aborts)
	}
}

// TestMutationsAreFound shows that the checks find the mistakes that they are made for.
func TestMutationsAreFound(t *testing.T) {
	t.Parallel()
	const most = 200 // seeds; usually one finds it, of the last mutation one in a few
	stuck := func(rng *rand.Rand) mishap {
		return mishap{
			kind: stuckZombie, at: inProcessing, n: rng.IntN(20), lasts: crashSession + time.Duration(rng.IntN(500))*time.Millisecond,
			late: time.Duration(500+rng.IntN(2000)) * time.Millisecond,
		}
	}
	refused := func(rng *rand.Rand) mishap {
		return mishap{kind: refuseCommit, at: afterFlush, n: rng.IntN(4), err: kerr.UnknownServerError}
	}
	for _, tc := range []struct {
		name string
		m    runtime.Mutations
		plan func(*rand.Rand, int) []mishap
	}{
		{"changes applied before EndTransaction", runtime.Mutations{ApplyFirst: true}, anything(8)},
		{"operator times kept over an abort", runtime.Mutations{KeepTimes: true}, always(8, refused)},
		{"cache kept over an abort", runtime.Mutations{KeepCache: true}, always(8, refused)},
		{"commit under the live identity", runtime.Mutations{LiveIdentity: true}, always(4, stuck)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for seed := range uint64(most) {
				cfg := crashConfig{seed: seed, processes: 3, records: 200, every: 10 * time.Millisecond, plan: tc.plan, transactionTimeout: 10 * time.Second}
				torture(t, cfg).report(t) // the right program passes
				cfg.mutations = tc.m
				w := torture(t, cfg)
				if w.complete && len(w.violations) > 0 {
					t.Logf("found with seed %d: %d violations, as %s", seed, len(w.violations), w.violations[0])
					return
				}
			}
			t.Errorf("not found in %d runs", most)
		})
	}
}
