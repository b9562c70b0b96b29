package runtime

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/taskid"
	"github.com/millrace-streams/millrace/internal/worker"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// read is one reading of the changelog.
type read func(from int64, sink restore.Sink, done restore.Done) error

// script is a changelogReader with prepared results.
type script struct {
	reads []read
	froms []int64 // start offsets of the readings
	end   int64
	// memory is restoring.memory. 0 means that all records are written at once.
	memory int64
	// position returns the position in the database.
	position func() int64
}

func (s *script) TopicIDs(_ context.Context, topics ...string) (map[string]restore.TopicID, error) {
	return map[string]restore.TopicID{topics[0]: {1}}, nil
}

func (s *script) Offsets(context.Context, []restore.Partition) ([]restore.Range, error) {
	return []restore.Range{{HighWatermark: s.end}}, nil
}

func (s *script) Restore(
	_ context.Context, parts []restore.Partition, sink restore.Sink, done restore.Done, _ func(restore.Progress),
) error {
	next := s.reads[len(s.froms)]
	s.froms = append(s.froms, parts[0].From)
	return next(parts[0].From, sink, done)
}

func (s *script) expires(string) bool                  { return false }
func (s *script) deleteRetention(string) time.Duration { return time.Hour }

// upTo reads the changelog up to an offset.
func upTo(end int64) read {
	return func(from int64, sink restore.Sink, done restore.Done) error {
		if err := partly(end, nil)(from, sink, done); err != nil {
			return err
		}
		done(0, end, nil)
		return nil
	}
}

// partly reads the changelog up to an offset, and is then interrupted by an error.
func partly(end int64, err error) read {
	return func(from int64, sink restore.Sink, _ restore.Done) error {
		for offset := max(from, 0); offset < end; offset++ {
			record := &kgo.Record{Offset: offset, Key: []byte("k"), Value: []byte("12345678")}
			if err := sink(0, []*kgo.Record{record}, offset+1); err != nil {
				return err
			}
		}
		return err
	}
}

// failing fails to read the changelog.
func failing(err error) read {
	return func(from int64, _ restore.Sink, done restore.Done) error {
		done(0, from, err)
		return nil
	}
}

// wipes collects the reasons of StateWiped.
type wipes struct {
	silent
	reasons []string
}

func (w *wipes) Wiped(e StateWiped) { w.reasons = append(w.reasons, e.Reason) }

// restored is the result of restoring a target.
type restored struct {
	life        *life
	db          *engine.DB
	ready, gone int
	position    int64
	wiped       []string
}

// restoreTarget restores a target without a held task.
func restoreTarget(t *testing.T, reader *script, gone bool) *restored {
	b := topology.New()
	topology.GroupByKey(topology.Source(b, "in", serde.String, serde.String), "by-key").Count("counts")
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.Of(topo)
	if err != nil {
		t.Fatal(err)
	}
	shared := engine.NewShared(1 << 20)
	db, err := engine.Open(engine.Options{Dir: "db", FS: vfs.NewMem(), Shared: shared})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close(); shared.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	if gone {
		cancel()
	}
	events, got := &wipes{}, &restored{db: db, life: newLife(context.Background(), time.Minute, slog.New(slog.DiscardHandler))}
	tgt := &target{
		ctx: ctx, cancel: cancel, task: &worker.Task{DB: db}, ready: func() { got.ready++ }, gone: func() { got.gone++ },
	}
	p := &plan{application: "app", graph: g}
	if err := tgt.addChangelogs(p, taskid.Of(0, 0)); err != nil {
		t.Fatal(err)
	}
	log := tgt.logs[0]
	reader.position = func() int64 {
		at, _ := db.Position(log.table, log.Topic)
		return at
	}
	restoring{life: got.life, reader: reader, retention: reader, events: events, memory: reader.memory}.run([]*target{tgt})
	got.position = reader.position()
	got.wiped = events.reasons
	return got
}

func TestTargetIsReadyOnce(t *testing.T) {
	reader := &script{reads: []read{failing(kerr.NotLeaderForPartition), upTo(3)}}
	got := restoreTarget(t, reader, false)
	if got.ready != 1 || got.gone != 0 || got.position != 3 {
		t.Errorf("ready %d times, gone %d times, at %d", got.ready, got.gone, got.position)
	}
	if p, ok, err := got.db.Progress(); !ok || err != nil || len(p.Changelogs) != 1 {
		t.Errorf("progress %+v, %v, %v", p, ok, err)
	}
}

// Records that were read and not yet written are not read again when reading fails.
func TestInterruptedReadIsContinued(t *testing.T) {
	for _, memory := range []int64{0, 1 << 20} {
		reader := &script{reads: []read{partly(2, kerr.NotLeaderForPartition), upTo(3)}, memory: memory}
		got := restoreTarget(t, reader, false)
		if got.ready != 1 || got.position != 3 || !slices.Equal(reader.froms, []int64{-1, 2}) {
			t.Errorf("memory %d: ready %d times, at %d, read from %d", memory, got.ready, got.position, reader.froms)
		}
	}
}

// Records are held back until they are enough for a large batch, or too many in all.
func TestRecordsAreWrittenInLargeBatches(t *testing.T) {
	const records = 10
	row := int64(len("k") + len("12345678") + rowOverhead)
	for memory, want := range map[int64]int{1: records, 3 * row: 4, 1 << 20: 1} {
		var writes int
		var position int64
		reader := &script{memory: memory}
		reader.reads = []read{func(from int64, sink restore.Sink, done restore.Done) error {
			return upTo(records)(from, func(p int, read []*kgo.Record, next int64) error {
				err := sink(p, read, next)
				if at := reader.position(); at != position {
					position = at
					writes++
				}
				return err
			}, func(p int, next int64, err error) {
				done(p, next, err)
				if position != next {
					writes++
				}
			})
		}}
		got := restoreTarget(t, reader, false)
		if got.ready != 1 || got.position != records || writes != want {
			t.Errorf("memory %d: ready %d times, at %d, after %d writes, want %d", memory, got.ready, got.position, writes, want)
		}
	}
}

func TestTargetIsWipedAndReadFromTheStart(t *testing.T) {
	for name, err := range map[string]error{
		"created again": &restore.RecreatedError{},
		"lost records":  &restore.OutOfRangeError{From: 3, End: 2},
		"may be gone":   &restore.OutOfRangeError{From: 3, Start: 5, End: 9},
	} {
		t.Run(name, func(t *testing.T) {
			first := func(_ int64, sink restore.Sink, done restore.Done) error {
				if err := sink(0, nil, 3); err != nil {
					return err
				}
				done(0, 3, err)
				return nil
			}
			reader := &script{reads: []read{first, upTo(2)}}
			got := restoreTarget(t, reader, false)
			if len(got.wiped) != 1 || !strings.Contains(got.wiped[0], name) {
				t.Errorf("wiped because %q", got.wiped)
			}
			if !slices.Equal(reader.froms, []int64{-1, -1}) || got.ready != 1 || got.position != 2 {
				t.Errorf("read from %v, ready %d times, at %d", reader.froms, got.ready, got.position)
			}
		})
	}
}

func TestTargetThatIsGoneIsGivenUp(t *testing.T) {
	reader := &script{}
	if got := restoreTarget(t, reader, true); got.gone != 1 || got.ready != 0 || got.life.failureSoFar() != nil {
		t.Errorf("gone %d times, ready %d times, failure %v", got.gone, got.ready, got.life.failureSoFar())
	}
}

func TestTargetThatCannotBeReadFailsTheRun(t *testing.T) {
	broken := errors.New("broken")
	got := restoreTarget(t, &script{reads: []read{failing(broken)}}, false)
	if !errors.Is(got.life.failureSoFar(), broken) || got.gone != 1 || got.ready != 0 {
		t.Errorf("failure %v, gone %d times, ready %d times", got.life.failureSoFar(), got.gone, got.ready)
	}
}
