package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/internal/registrytopic"
	"github.com/millrace-streams/millrace/internal/restore"
)

var background = context.Background()

// world is a cluster on a virtual network and under a virtual clock.
type world struct {
	*testing.T
	cluster *kafkatest.Cluster
	admin   *kadm.Client
}

func inWorld(t *testing.T, f func(*world)) {
	t.Helper()
	t.Parallel()
	kafkatest.Virtual(t, func(t *testing.T, c *kafkatest.Cluster) {
		f(&world{t, c, kadm.NewClient(c.Client())})
	})
}

// registry returns the registry of an application, as a separate process would open it.
func (w *world) registry(application string, opts ...kgo.Opt) *Registry {
	w.Helper()
	opts = append(w.cluster.Options(), opts...)
	restorer, err := restore.New(restore.Config{Opts: opts})
	w.must(err)
	w.Cleanup(restorer.Close)
	return New(Config{
		Application: application, Opts: opts, Restorer: restorer, Logger: slog.New(slog.NewTextHandler(w.Output(), nil)),
		Ensure: func(ctx context.Context) (TopicID, error) { return w.ensure(ctx, TopicName(application)) },
	})
}

func (w *world) ensure(ctx context.Context, topic string) (TopicID, error) {
	compact := "compact"
	if _, err := w.admin.CreateTopic(ctx, 1, 1, map[string]*string{"cleanup.policy": &compact}, topic); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return TopicID{}, err
	}
	details, err := w.admin.ListTopics(ctx, topic)
	return details[topic].ID, err
}

// settle makes the clients' cached facts about topics expire, on the virtual clock.
func (w *world) settle() { time.Sleep(time.Minute) }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// records decides to write the records that are missing.
func records(stores ...Record) func(View) (Changes, error) {
	return func(v View) (Changes, error) { return v.Missing(stores, nil), nil }
}

func (w *world) expect(v View, names ...string) {
	w.Helper()
	var got []string
	for _, r := range v.Stores() {
		got = append(got, r.Store)
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		w.Errorf("the registry has %q, want %q", got, names)
	}
}

func storeRecord(name string) Record {
	return Record{Store: name, Application: "app", Kind: KeyValue, Changelog: "app-" + name + "-changelog"}
}

func TestWriteAndRead(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.registry("app"), w.registry("app")
		view, err := b.Refresh(background)
		w.must(err)
		w.expect(view)
		view, err = a.Update(background, records(storeRecord("x"), storeRecord("y")))
		w.must(err)
		w.expect(view, "x", "y")
		view, err = b.Refresh(background)
		w.must(err)
		w.expect(view, "x", "y")
		if got, _ := view.Store("x"); !got.equal(storeRecord("x")) {
			w.Errorf("got %+v", got)
		}
		end := w.cluster.PartitionInfo(a.Topic(), 0).HighWatermark
		_, err = b.Update(background, records(storeRecord("x")))
		w.must(err)
		if now := w.cluster.PartitionInfo(a.Topic(), 0).HighWatermark; now != end {
			w.Errorf("a write of nothing moved the end from %d to %d", end, now)
		}
		_, err = b.Update(background, func(View) (Changes, error) { return Changes{Forget: []string{registrytopic.Store.Key("x")}}, nil })
		w.must(err)
		w.expect(b.View(), "y")
	})
}

// Writers that start at the same time write one after the other. Each has read the
// records of the others, so no write is lost.
func TestSeveralWritersAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		var writers sync.WaitGroup
		for i := range 5 {
			r := w.registry("app")
			writers.Go(func() {
				// Each writer adds itself to the format of one record. This only works if
				// it has read the last record.
				_, err := r.Update(background, func(v View) (Changes, error) {
					now := storeRecord("shared")
					was, _ := v.Store("shared")
					if strings.Contains(was.ValueFormat, fmt.Sprint(i)) {
						return Changes{}, nil
					}
					now.ValueFormat = was.ValueFormat + fmt.Sprint(i)
					return Changes{Stores: []Record{now}}, nil
				})
				if err != nil {
					w.Error(err)
				}
			})
		}
		writers.Wait()
		view, err := w.registry("app").Refresh(background)
		w.must(err)
		if got, _ := view.Store("shared"); len(got.ValueFormat) != 5 {
			w.Errorf("five writers left %q", got.ValueFormat)
		}
	})
}

// A writer is paused before its write. The next writer fences it, and it decides again.
func TestAPausedWriterDoesNotOverwrite(t *testing.T) {
	inWorld(t, func(w *world) {
		slow, fast := w.registry("app"), w.registry("app")
		decided := 0
		_, err := slow.Update(background, func(v View) (Changes, error) {
			now := storeRecord("x")
			now.ValueFormat = "slow"
			if was, found := v.Store("x"); found {
				now.KeyFormat = "after " + was.ValueFormat
			}
			if was, _ := v.Store("x"); was.ValueFormat == "slow" {
				return Changes{}, nil
			}
			if decided++; decided == 2 { // the first time is without the transaction
				newer := storeRecord("x")
				newer.ValueFormat = "fast"
				_, err := fast.Update(background, records(newer))
				w.must(err)
			}
			return Changes{Stores: []Record{now}}, nil
		})
		w.must(err)
		if got, _ := slow.View().Store("x"); got.KeyFormat != "after fast" {
			w.Errorf("the slow writer wrote %+v", got)
		}
	})
}

// A reader waits for the transaction of a writer that has died. It does not see that
// write.
func TestAWriterThatDies(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.registry("app")
		_, err := r.Update(background, records(storeRecord("x")))
		w.must(err)
		dead := w.cluster.Client(kgo.TransactionalID(r.Topic()), kgo.TransactionTimeout(transactionTimeout))
		w.must(dead.BeginTransaction())
		value, err := storeRecord("y").encode()
		w.must(err)
		w.must(dead.ProduceSync(background, &kgo.Record{Topic: r.Topic(), Key: []byte(registrytopic.Store.Key("y")), Value: value}).FirstErr())
		began := time.Now()
		view, err := w.registry("app").Refresh(background)
		w.must(err)
		w.expect(view, "x")
		if waited := time.Since(began); waited > 2*transactionTimeout {
			w.Errorf("waited for %v", waited)
		}
	})
}

func TestTheTopicIsDeleted(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.registry("app")
		view, err := r.Update(background, records(storeRecord("x")))
		w.must(err)
		before := view.TopicID
		w.must(w.cluster.DeleteTopic(r.Topic()))
		w.settle()
		view, err = r.Refresh(background)
		w.must(err)
		w.expect(view)
		if view.TopicID == before || view.TopicID == (TopicID{}) {
			w.Errorf("topic ID %v after %v", view.TopicID, before)
		}
		view, err = r.Update(background, records(storeRecord("x")))
		w.must(err)
		w.expect(view, "x")
	})
}

// An operator deletes a record with an empty value.
func TestTombstonesAndStrangers(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.registry("app")
		_, err := r.Update(background, records(storeRecord("x"), storeRecord("y")))
		w.must(err)
		hand := w.cluster.Client()
		write := func(key, value string) {
			w.must(hand.ProduceSync(background, &kgo.Record{Topic: r.Topic(), Key: []byte(key), Value: []byte(value)}).FirstErr())
		}
		write("store/x", "")
		write("something/else", "not ours")
		view, err := r.Refresh(background)
		w.must(err)
		w.expect(view, "y")
		write("store/y", "not ours")
		if _, err = r.Refresh(background); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), r.Topic()) || !strings.Contains(err.Error(), `key "store/y"`) {
			w.Errorf("got %v", err)
		}
	})
}

func TestRefusedWritesAreExplained(t *testing.T) {
	for name, tc := range map[string]struct {
		key  kmsg.Key
		err  *kerr.Error
		says string
	}{
		"produce":          {kmsg.Produce, kerr.TopicAuthorizationFailed, "Read and Write the topic"},
		"transactional ID": {kmsg.InitProducerID, kerr.TransactionalIDAuthorizationFailed, "transactional ID app-stores-registry"},
		"policy":           {kmsg.Produce, kerr.PolicyViolation, "POLICY_VIOLATION"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				r := w.registry("app")
				w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{tc.key}, Err: tc.err})
				_, err := r.Update(background, records(storeRecord("x")))
				if !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), r.Topic()) {
					w.Errorf("got %v", err)
				}
				w.expect(r.View())
			})
		})
	}
}

// An error of decide is returned unchanged, and nothing is written.
func TestDecideRefuses(t *testing.T) {
	inWorld(t, func(w *world) {
		refused, calls := errors.New("refused"), 0
		_, err := w.registry("app").Update(background, func(View) (Changes, error) {
			if calls++; calls == 1 {
				return Changes{Stores: []Record{storeRecord("x")}}, nil
			}
			return Changes{}, refused
		})
		if err != refused { //nolint:errorlint // not wrapped
			w.Errorf("got %v", err)
		}
	})
}

func TestRival(t *testing.T) {
	inWorld(t, func(w *world) {
		exist := func(ctx context.Context, names []string) (map[string]TopicID, error) {
			details, err := w.admin.ListTopics(ctx, names...)
			ids := map[string]TopicID{}
			for name, d := range details {
				if d.Err == nil {
					ids[name] = d.ID
				}
			}
			return ids, err
		}
		a, ab := w.registry("a"), w.registry("a-b")
		shared := []string{"a-b-c-changelog", "a-b-r-repartition"}
		w.must(ab.Rival(background, shared, exist))
		_, err := a.Update(background, func(v View) (Changes, error) {
			return v.Missing([]Record{{Store: "b-c", Application: "a", Changelog: "a-b-c-changelog"}}, nil), nil
		})
		w.must(err)
		w.settle()
		var rival *RivalError
		if err := ab.Rival(background, shared, exist); !errors.As(err, &rival) || rival.Application != "a" || rival.Topic != "a-b-c-changelog" {
			w.Errorf("got %v", err)
		}
		w.must(ab.Rival(background, []string{"a-b-d-changelog"}, exist))
		_, err = a.Update(background, func(v View) (Changes, error) {
			removed, _ := v.Store("b-c")
			removed.Removed = time.Now().Truncate(time.Second)
			return Changes{Stores: []Record{removed}, Repartitions: []Repartition{{Topic: "a-b-r-repartition", Application: "a"}}}, nil
		})
		w.must(err)
		if err := ab.Rival(background, shared, exist); !errors.As(err, &rival) || rival.Topic != "a-b-r-repartition" {
			w.Errorf("got %v", err)
		}
	})
}
