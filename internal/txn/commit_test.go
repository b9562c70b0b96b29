package txn

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

var background = context.Background()

func TestCommitMakesRecordsAndOffsetsVisibleTogether(t *testing.T) {
	inWorld(t, func(w *world) {
		p, id := w.producer("app-1"), w.join("")
		if p.InTransaction() || !p.Started().IsZero() {
			t.Error("a transaction before the first record")
		}
		produce(p, "a", "b")
		if !p.InTransaction() || p.Started().IsZero() {
			t.Error("no transaction after the first record")
		}
		result, err := p.Commit(background, id, at(7))
		w.must(err)
		if result.Produced != 4 || result.Positions[store][0] != 2 || len(result.Positions) != 1 {
			t.Errorf("result: %+v", result)
		}
		produce(p, "c")
		result, err = p.Commit(background, id, at(8))
		w.must(err)
		if got := result.Positions[store][0]; got != 4 { // 0, 1, marker, 3
			t.Errorf("changelog position %d, want 4", got)
		}
		if got := p.Positions()[store][0]; got != 4 {
			t.Errorf("all positions %d, want 4", got)
		}
		w.expect(8, "a", "b", "c")
		if got := w.cluster.GroupInfo(group).Commits[input][0].Metadata; got != "meta" {
			t.Errorf("metadata %q", got)
		}
	})
}

func TestOffsetsAloneAreCommittedWithoutATransaction(t *testing.T) {
	inWorld(t, func(w *world) {
		inTxn := w.requests(kmsg.TxnOffsetCommit)
		p, id := w.producer("app-1"), w.join("")
		_, err := p.Commit(background, id, at(3))
		w.must(err)
		w.expect(3)
		w.must(p.Begin())
		_, err = p.Commit(background, id, at(4))
		w.must(err)
		w.expect(4)
		_, err = p.Commit(background, id, nil)
		w.must(err)
		if n := len(inTxn.all()); n != 0 {
			t.Errorf("%d offset commits inside a transaction", n)
		}
		produce(p, "a")
		_, err = p.Commit(background, id, at(5))
		w.must(err)
		w.expect(5, "a")
	})
}

func TestEveryTransactionUsesItsOwnEpoch(t *testing.T) {
	inWorld(t, func(w *world) {
		commits := w.requests(kmsg.TxnOffsetCommit)
		added := w.requests(kmsg.AddOffsetsToTxn)
		p, id := w.producer("app-1"), w.join("")
		for i := range 5 {
			produce(p, fmt.Sprint(i))
			_, err := p.Commit(background, id, at(int64(i+1)))
			w.must(err)
		}
		w.expect(5, "0", "1", "2", "3", "4")
		epochs := make(map[int16]bool)
		for _, r := range commits.all() {
			epochs[r.(*kmsg.TxnOffsetCommitRequest).ProducerEpoch] = true
			if v := r.GetVersion(); v != maxTxnOffsetCommit {
				t.Errorf("version %d", v)
			}
		}
		if len(epochs) != 5 || len(added.all()) != 0 {
			t.Errorf("%d epochs, %d AddOffsetsToTxn", len(epochs), len(added.all()))
		}
	})
}

func TestBrokerBeforeTransactionVersion2(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts []kfake.Opt
		// a broker that supports TxnOffsetCommit 5 in a cluster with feature level 1
		downgrade bool
	}{
		{name: "old broker", opts: []kfake.Opt{kfake.MaxVersions(kversion.V3_9_0())}},
		{name: "new broker, old feature level", downgrade: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				if tc.downgrade {
					req := kmsg.NewPtrUpdateFeaturesRequest()
					f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
					f.Feature, f.MaxVersionLevel, f.UpgradeType = "transaction.version", 1, 2
					req.FeatureUpdates = append(req.FeatureUpdates, f)
					resp, err := req.RequestWith(background, w.admin)
					w.must(err)
					w.must(kerr.ErrorForCode(resp.ErrorCode))
				}
				commits := w.requests(kmsg.TxnOffsetCommit)
				added := w.requests(kmsg.AddOffsetsToTxn)
				p, id := w.producer("app-1"), w.join("")
				for i := range 3 {
					produce(p, fmt.Sprint(i))
					_, err := p.Commit(background, id, at(int64(i+1)))
					w.must(err)
				}
				w.expect(3, "0", "1", "2")
				if n := len(added.all()); n != 3 {
					t.Errorf("%d AddOffsetsToTxn, want 3", n)
				}
				for _, r := range commits.all() {
					if r.GetVersion() > 4 {
						t.Errorf("TxnOffsetCommit version %d", r.GetVersion())
					}
				}
				produce(p, "x")
				_, err := p.Commit(background, Identity{MemberID: id.MemberID, Generation: id.Generation + 1}, at(9))
				w.outcome(err, Fenced)
				w.expect(3, "0", "1", "2")
			}, tc.opts...)
		})
	}
}

func TestEmptyIdentityIsNeverSent(t *testing.T) {
	inWorld(t, func(w *world) {
		inTxn, plain := w.requests(kmsg.TxnOffsetCommit), w.requests(kmsg.OffsetCommit)
		p := w.producer("app-1")
		for _, id := range []Identity{{}, {Generation: 1}, {MemberID: "m", Generation: -1}} {
			produce(p, "a")
			_, err := p.Commit(background, id, at(1))
			w.outcome(err, Fenced)
			if !errors.Is(err, ErrNoIdentity) {
				t.Errorf("got %v", err)
			}
			_, err = p.Commit(background, id, at(1))
			w.outcome(err, Fenced)
		}
		if len(inTxn.all())+len(plain.all()) != 0 {
			t.Error("an offset commit went out")
		}
		w.expect(-1)
	})
}

func TestLostMembershipIsFenced(t *testing.T) {
	for name, spoil := range map[string]func(*world, Identity) Identity{
		"stale generation": func(w *world, id Identity) Identity { w.join(id.MemberID); return id },
		"unknown member": func(_ *world, id Identity) Identity {
			return Identity{MemberID: "somebody", Generation: id.Generation}
		},
	} {
		for what, offsets := range map[string][]OffsetCommit{"with offsets": at(9), "without offsets": nil} {
			t.Run(name+" "+what, func(t *testing.T) {
				inWorld(t, func(w *world) {
					p, id := w.producer("app-1"), w.join("")
					stale := spoil(w, id)
					produce(p, "a")
					_, err := p.Commit(background, stale, offsets)
					w.outcome(err, Fenced)
					if p.Dead() || p.InTransaction() {
						t.Error("the producer should go on")
					}
					w.expect(-1)
					if offsets != nil {
						_, err = p.Commit(background, stale, offsets) // nothing produced
						w.outcome(err, Fenced)
					}
					if name == "stale generation" {
						id = w.join(id.MemberID)
					}
					produce(p, "b")
					_, err = p.Commit(background, id, at(2))
					w.must(err)
					w.expect(2, "b")
				})
			})
		}
	}
}

func TestRecordsWithoutOffsets(t *testing.T) {
	inWorld(t, func(w *world) {
		p, id := w.producer("app-1"), w.join("")
		produce(p, "a")
		_, err := p.Commit(background, id, nil)
		w.must(err)
		w.expect(-1, "a")
	})
}

func TestNewGenerationOfTheSameMember(t *testing.T) {
	inWorld(t, func(w *world) {
		old := w.join("")
		fresh := w.join(old.MemberID)
		asked := 0
		p := w.producer("app-1", func(c *Config) {
			c.Refresh = func(_ context.Context, stale Identity) (Identity, error) {
				asked++
				if stale == old {
					return fresh, nil
				}
				return Identity{}, errors.New("lost")
			}
		})
		produce(p, "a")
		_, err := p.Commit(background, old, at(1))
		w.must(err)
		w.expect(1, "a")
		_, err = p.Commit(background, old, at(2))
		w.must(err)
		w.expect(2, "a")
		w.join(old.MemberID)
		produce(p, "b")
		_, err = p.Commit(background, old, at(3))
		w.outcome(err, Fenced)
		w.expect(2, "a")
		if asked != 4 {
			t.Errorf("asked %d times", asked)
		}
	})
}

func TestBusyCoordinatorIsAskedAgain(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.TxnOffsetCommit, kmsg.OffsetCommit} {
		for _, code := range []*kerr.Error{kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.RequestTimedOut, kerr.RebalanceInProgress} {
			t.Run(key.Name()+" "+code.Message, func(t *testing.T) {
				inWorld(t, func(w *world) {
					p, id := w.producer("app-1"), w.join("")
					fault := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: code, Count: 3})
					var want []string
					if key == kmsg.TxnOffsetCommit {
						produce(p, "a")
						want = []string{"a"}
					}
					_, err := p.Commit(background, id, at(5))
					w.must(err)
					w.expect(5, want...)
					if fault.Hits() != 3 {
						t.Errorf("%d faults", fault.Hits())
					}
				})
			})
		}
	}
}

func TestPermanentRefusalOfOffsetsAborts(t *testing.T) {
	inWorld(t, func(w *world) {
		p, id := w.producer("app-1"), w.join("")
		for _, key := range []kmsg.Key{kmsg.TxnOffsetCommit, kmsg.OffsetCommit} {
			w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: kerr.OffsetMetadataTooLarge})
			if key == kmsg.TxnOffsetCommit {
				produce(p, "a")
			}
			_, err := p.Commit(background, id, at(5))
			w.outcome(err, Aborted)
			var e *Error
			if !errors.As(err, &e) || !e.Permanent() || p.Dead() {
				t.Errorf("got %v, dead %v", err, p.Dead())
			}
		}
		w.expect(-1)
	})
}

func TestCancelledCommitAborts(t *testing.T) {
	inWorld(t, func(w *world) {
		p, id := w.producer("app-1"), w.join("")
		produce(p, "a")
		ctx, cancel := context.WithCancel(background)
		cancel()
		_, err := p.Commit(ctx, id, at(1))
		w.outcome(err, Aborted)
		w.expect(-1)
		produce(p, "b")
		_, err = p.Commit(background, id, at(1))
		w.must(err)
		w.expect(1, "b")
	})
}

// If ctx is cancelled between the offsets and the end, the end must not be interrupted.
func TestEndIsNotInterrupted(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx, cancel := context.WithCancel(background)
		p := w.producer("app-1", func(c *Config) {
			c.Hook = func(s Step) error {
				if s == BeforeEnd {
					cancel()
				}
				return nil
			}
		})
		id := w.join("")
		produce(p, "a")
		_, err := p.Commit(ctx, id, at(1))
		w.must(err)
		w.expect(1, "a")
	})
}

func TestAbortDropsEverything(t *testing.T) {
	inWorld(t, func(w *world) {
		p, id := w.producer("app-1"), w.join("")
		w.must(p.Abort(background)) // nothing open
		produce(p, "a")
		w.must(p.cl.Flush(background))
		w.must(p.Abort(background))
		if p.InTransaction() || p.Produced() != 0 || len(p.Positions()) != 0 {
			t.Error("something is left of the transaction")
		}
		w.expect(-1)
		produce(p, "b")
		result, err := p.Commit(background, id, at(1))
		w.must(err)
		w.expect(1, "b")
		if got := result.Positions[store][0]; got != 3 { // a, marker, b
			t.Errorf("position %d, want 3", got)
		}
	})
}

// The connection breaks around EndTransaction. The client cannot know whether the broker
// has committed. A producer that takes over the ID finds the transaction decided.
func TestUnknownOutcome(t *testing.T) {
	for _, tc := range []struct {
		name   string
		before bool
		offset int64
		values []string
	}{
		{"the broker got the request", false, 1, []string{"a"}},
		{"the broker never got it", true, -1, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				l := &line{dial: w.cluster.Net.DialContext}
				use := func(c *Config) { c.Opts = append(c.Opts, kgo.Dialer(l.DialContext)) }
				p, id := w.producer("app-1", use), w.join("")
				produce(p, "a")
				l.arm(kmsg.EndTxn, tc.before)
				_, err := p.Commit(background, id, at(1))
				w.outcome(err, Unknown)
				if !p.Dead() {
					t.Error("the producer should be dead")
				}
				_, err = p.Commit(background, id, at(9))
				w.outcome(err, Fatal)
				p.Close()

				l.mend()
				p = w.producer("app-1", use)
				w.expect(tc.offset, tc.values...)
				produce(p, "b")
				_, err = p.Commit(background, id, at(2))
				w.must(err)
				w.expect(2, append(tc.values, "b")...)
			})
		})
	}
}

func TestUnansweredOffsetCommitIsUnknown(t *testing.T) {
	inWorld(t, func(w *world) {
		l := &line{dial: w.cluster.Net.DialContext}
		p, id := w.producer("app-1", func(c *Config) { c.Opts = append(c.Opts, kgo.Dialer(l.DialContext)) }), w.join("")
		l.arm(kmsg.OffsetCommit, false)
		_, err := p.Commit(background, id, at(1))
		w.outcome(err, Unknown)
		w.expect(1)
	})
}

// A crash happens at each step. The next producer with the same ID finds either all of
// the transaction or nothing.
func TestCrashAtEachStep(t *testing.T) {
	for step, committed := range map[Step]bool{BeforeFlush: false, AfterFlush: false, AfterOffsets: false, BeforeEnd: false, AfterEnd: true} {
		t.Run(string(step), func(t *testing.T) {
			inWorld(t, func(w *world) {
				p := w.producer("app-1", func(c *Config) {
					c.Hook = func(s Step) error {
						if s == step {
							return errors.New("power cut")
						}
						return nil
					}
				})
				id := w.join("")
				produce(p, "a")
				_, err := p.Commit(background, id, at(1))
				w.outcome(err, Crashed)
				p = w.producer("app-1")
				if committed {
					w.expect(1, "a")
				} else {
					w.expect(-1)
				}
				produce(p, "b")
				_, err = p.Commit(background, id, at(2))
				w.must(err)
			})
		})
	}
}

func TestFenceEndsOldTransactions(t *testing.T) {
	inWorld(t, func(w *world) {
		id := w.join("")
		var ids []string
		var old []*Producer
		for i := range 5 {
			ids = append(ids, fmt.Sprintf("app-%d", i))
			p := w.producer(ids[i])
			produce(p, fmt.Sprintf("old-%d", i))
			w.must(p.cl.Flush(background))
			old = append(old, p)
		}
		w.must(Fence(background, w.cluster.Options(), append(ids, "app-never-used")))
		w.expect(-1)
		for i, p := range old {
			_, err := p.Commit(background, id, at(int64(i)))
			if o := OutcomeOf(err); o != Fatal || !p.Dead() {
				t.Errorf("producer %d: %v, dead %v", i, err, p.Dead())
			}
		}
		w.expect(-1)
		p := w.producer(ids[0])
		produce(p, "new")
		_, err := p.Commit(background, id, at(1))
		w.must(err)
		w.expect(1, "new")
	})
}

func TestFenceWaitsForABusyCoordinator(t *testing.T) {
	inWorld(t, func(w *world) {
		fault := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.ConcurrentTransactions, Count: 4})
		w.must(Fence(background, w.cluster.Options(), []string{"app-1"}))
		if fault.Hits() != 4 {
			t.Errorf("%d hits", fault.Hits())
		}
		w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.TransactionalIDAuthorizationFailed})
		if err := Fence(background, w.cluster.Options(), []string{"app-1"}); !errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
			t.Errorf("got %v", err)
		}
	})
}

// The first records of a topic may be answered before kgo holds its partitions. kgo needs
// them to end a transaction.
func TestEndWaitsForTheClient(t *testing.T) {
	inWorld(t, func(w *world) {
		p, id := w.producer("app-1"), w.join("")
		ends := 0
		w.cluster.ControlKey(kmsg.EndTxn.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			ends++
			return nil, nil, false
		})
		asked := 0
		p.holds = func(topic string, partition int32) bool {
			asked++
			return asked%4 == 0 && p.kgoHolds(topic, partition)
		}
		for i := range int64(2) { // in the second round the topic is settled
			p.Produce(&kgo.Record{Topic: output, Value: []byte("a")})
			_, err := p.Commit(background, id, at(i+1))
			w.must(err)
		}
		w.expect(2, "a", "a")
		if asked != 4 {
			t.Errorf("asked %d times, want 4", asked)
		}
		p.Produce(&kgo.Record{Topic: input, Value: []byte("another")})
		w.must(p.cl.Flush(background))
		w.must(p.Abort(background))
		if asked != 8 || ends != 3 {
			t.Errorf("asked %d times, want 8; %d transactions ended, want 3", asked, ends)
		}
	})
}

func TestTransactionThatOutlivesItsTimeout(t *testing.T) {
	inWorld(t, func(w *world) {
		p, id := w.producer("app-1"), w.join("")
		produce(p, "a")
		w.must(p.cl.Flush(background))
		<-time.After(DefaultTransactionTimeout + 2*time.Second) // virtual
		produce(p, "b")
		_, err := p.Commit(background, id, at(1))
		if o := OutcomeOf(err); o == Committed || o == Crashed {
			t.Fatalf("got %v", err)
		}
		w.expect(-1)
		if p.Dead() {
			p.Close()
			p = w.producer("app-1")
		}
		produce(p, "c")
		_, err = p.Commit(background, id, at(1))
		w.must(err)
		w.expect(1, "c")
	})
}

func TestUnreachableBrokerDoesNotHang(t *testing.T) {
	inWorld(t, func(w *world) {
		l := &line{dial: w.cluster.Net.DialContext}
		p, id := w.producer("app-1", func(c *Config) { c.Opts = append(c.Opts, kgo.Dialer(l.DialContext)) }), w.join("")
		produce(p, "a")
		l.arm(kmsg.Produce, true)
		start := time.Now()
		_, err := p.Commit(background, id, at(1))
		w.outcome(err, Fatal)
		if took := time.Since(start); took > 3*DefaultTransactionTimeout {
			t.Errorf("took %v", took)
		}
	})
}

func TestUnreachableBrokerDoesNotHoldUpTheEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		l := &line{dial: w.cluster.Net.DialContext}
		p, id := w.producer("app-1", func(c *Config) { c.Opts = append(c.Opts, kgo.Dialer(l.DialContext)) }), w.join("")
		ctx, cancel := context.WithCancel(background)
		l.arm(kmsg.Produce, true)
		produce(p, "a")
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		if _, err := p.Commit(ctx, id, at(1)); err == nil {
			t.Error("committed")
		}
		if took := time.Since(start); took > time.Second+2*lastWords {
			t.Errorf("took %v", took)
		}
	})
}

// Two workers of one process commit for one member, each its own partitions.
func TestTwoWorkersOfOneMember(t *testing.T) {
	inWorld(t, func(w *world) {
		id := w.join("")
		workers := []*Producer{w.producer("app-1"), w.producer("app-2")}
		for round := range 10 {
			done := make(chan error)
			for i, p := range workers {
				go func() {
					p.Produce(&kgo.Record{Topic: output, Partition: int32(i), Value: []byte("x")})
					_, err := p.Commit(background, id, []OffsetCommit{{Topic: input, Partition: int32(i), Offset: int64(round + 1), LeaderEpoch: -1}})
					done <- err
				}()
			}
			for range workers {
				w.must(<-done)
			}
		}
		fetched, err := kadm.NewClient(w.admin).FetchOffsets(background, group)
		w.must(err)
		for i := range workers {
			if o, _ := fetched.Lookup(input, int32(i)); o.At != 10 {
				t.Errorf("partition %d at %d", i, o.At)
			}
		}
		if got := len(w.visible()); got != 20 {
			t.Errorf("%d records", got)
		}
	})
}

func TestAtLeastOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		p, id := w.producer(""), w.join("")
		if _, err := p.Commit(background, id, at(1)); err == nil {
			t.Error("Commit without a transactional ID")
		}
		produce(p, "a", "b")
		if p.InTransaction() || p.Started().IsZero() {
			t.Error("at least once has no transaction, but a time of its first record")
		}
		w.must(p.Flush(background))
		if got := p.Positions()[store][0]; got != 2 || !p.Started().IsZero() {
			t.Errorf("position %d", got)
		}
		w.expect(-1, "a", "b")
		w.must(p.Flush(background))
		if _, ok := p.Flushed()[store][0]; ok || p.Positions()[store][0] != 2 {
			t.Error("a flush without records of a changelog speaks of its position, which somebody else may have moved")
		}
		w.must(p.CommitOffsets(background, id, at(2)))
		w.expect(2, "a", "b")
		w.outcome(p.CommitOffsets(background, Identity{MemberID: id.MemberID, Generation: id.Generation + 1}, at(3)), Fenced)
		w.outcome(p.CommitOffsets(background, Identity{}, at(3)), Fenced)
		w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: output, Err: kerr.InvalidRecord})
		produce(p, "c")
		w.outcome(p.Flush(background), Aborted)
		if p.Err() != nil {
			t.Error("the failure outlives its flush")
		}
		produce(p, "d")
		w.must(p.Flush(background))
	})
}
