package millrace

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-streams/millrace/internal/seam"
)

// The crash tests run several processes of an application in one test process: on a fake
// cluster with a virtual network, under a virtual clock (testing/synctest), with
// databases in a file system that knows which data is synced. Mishaps happen to the
// processes at named places inside and outside the commit. At the end an independent
// reader compares everything that was committed with a naive model.
//
// A seed decides the input and the mishaps, but not the order of goroutines. A seed that
// failed may have to run more than once. Many seeds:
//
//	MILLRACE_TORTURE=full go test -run 'Torture|Crash|Unknown|Mistakes' .
//
// One seed, as printed by a failure. Its log, with the requests that decide, is
// /tmp/17.log:
//
//	MILLRACE_TORTURE=1 MILLRACE_SEED=17 MILLRACE_TORTURE_LOG=/tmp go test ...

// runs returns how many seeds to run: a few in every test run, more with
// MILLRACE_TORTURE=full, or the number in MILLRACE_TORTURE.
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

// firstSeed returns the first seed to run. MILLRACE_SEED repeats a failed one.
func firstSeed() uint64 {
	seed, _ := strconv.ParseUint(os.Getenv("MILLRACE_SEED"), 10, 64)
	return seed
}

func (w *world) report(t *testing.T) {
	t.Helper()
	t.Logf("seed %d, shortcuts to rows %v: %d commits, %d aborts, %d stores restored; %v", w.seed, !w.noShortcuts(), w.commits, w.aborts, w.restored, w.happened)
	for _, v := range w.violations {
		t.Error(v)
	}
	if t.Failed() {
		t.Logf("again: MILLRACE_TORTURE=1 MILLRACE_SEED=%d MILLRACE_TORTURE_LOG=/tmp go test -run '^%s$' .", w.turn, strings.ReplaceAll(t.Name(), "/", "$/^"))
	}
}

// TestTorture runs random mishaps on two to four processes.
func TestTorture(t *testing.T) {
	t.Parallel()
	for i := range runs(3, 500) {
		seed := firstSeed() + uint64(i)
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			torture(t, crashConfig{
				seed: seed, turn: seed, processes: 2 + rng.IntN(3), workers: 1 + rng.IntN(3), records: 300, every: 10 * time.Millisecond, plan: anything(10), migrate: true,
				commitInterval: time.Duration(5+rng.IntN(100)) * time.Millisecond, transactionTimeout: time.Duration(2+4*rng.IntN(3)) * time.Second,
			}).report(t)
		})
	}
}

// TestTortureAtLeastOnce runs random mishaps on processes that may repeat work but must
// not lose any.
func TestTortureAtLeastOnce(t *testing.T) {
	t.Parallel()
	for i := range runs(1, 50) {
		seed := firstSeed() + uint64(i)
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			torture(t, crashConfig{seed: seed, turn: seed, guarantee: AtLeastOnce, processes: 3, records: 300, every: 10 * time.Millisecond, plan: anything(8), migrate: true}).report(t)
		})
	}
}

// TestCrashAtEachStep makes both processes crash again and again at the same place. Data
// that was not synced is lost, kept, or partly lost.
func TestCrashAtEachStep(t *testing.T) {
	t.Parallel()
	for i, at := range allPlaces {
		t.Run(string(at), func(t *testing.T) {
			for n := range runs(1, 20) {
				turn := firstSeed() + uint64(n)
				torture(t, crashConfig{
					seed: uint64(i) + 100*turn, turn: turn, processes: 2, records: 200, every: 10 * time.Millisecond, migrate: true,
					plan: always(4, func(rng *rand.Rand) mishap { return crashAt(rng, at) }),
				}).report(t)
			}
		})
	}
}

// TestKilledIsBackAtOnce kills a process at any place and starts it again with its
// directory. It must not wait for a session, a transaction timeout or a rebalance. The
// clock is virtual, so the figure is the time that it waits, not the speed of the
// machine.
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

// TestUnknownOutcomes makes EndTransaction return without an answer. The request may or
// may not have arrived, and the process may live on or die.
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

// TestNothingHappens checks the model without mishaps.
func TestNothingHappens(t *testing.T) {
	t.Parallel()
	w := torture(t, crashConfig{processes: 2, records: 400, every: 10 * time.Millisecond})
	w.report(t)
	if w.aborts > 0 {
		t.Errorf("%d aborts", w.aborts)
	}
}

// TestMistakesAreFound checks that each deliberate mistake is found.
func TestMistakesAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: checks the tests of crashes, not the product")
	}
	t.Parallel()
	const most = 200 // seeds; usually one finds it, of the last mistake one in a few
	stuck := func(rng *rand.Rand) mishap {
		return mishap{
			kind: stuckZombie, at: inProcessing, n: rng.IntN(20), lasts: crashSession + time.Duration(rng.IntN(500))*time.Millisecond,
			late: time.Duration(500+rng.IntN(2000)) * time.Millisecond,
		}
	}
	refused := func(rng *rand.Rand) mishap {
		return mishap{kind: refuseCommit, at: afterFlush, n: rng.IntN(4), err: kerr.UnknownServerError}
	}
	plans := map[seam.Mistake]func(*rand.Rand, int) []mishap{
		seam.ApplyFirst: anything(8), seam.KeepTimes: always(8, refused), seam.KeepCells: always(8, refused), seam.LiveIdentity: always(4, stuck),
	}
	for _, mistake := range seam.Mistakes {
		t.Run(string(mistake), func(t *testing.T) {
			if plans[mistake] == nil {
				t.Fatal("nothing looks for it")
			}
			for seed := range uint64(most) {
				cfg := crashConfig{seed: seed, processes: 3, records: 200, every: 10 * time.Millisecond, plan: plans[mistake], transactionTimeout: 10 * time.Second}
				torture(t, cfg).report(t) // the right program passes
				cfg.mistake = mistake
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
