package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/follow"
	"github.com/millrace-streams/millrace/internal/global"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/transient"
	"github.com/millrace-streams/millrace/internal/worker"
	"github.com/millrace-streams/millrace/processor"
)

// globalStore is one global store. Its goroutine reads the topic, writes the store, and
// owns the writer. Other goroutines ask for the fields that mu guards.
type globalStore struct {
	*globals
	global *graph.Global
	ready  chan struct{} // closed when the store has reached the first end of its topic

	writer  *global.Writer // nil while there is none
	budget  *engine.Budget
	letters *letters
	heard   time.Time     // of the last batch, or of the last warning that none comes
	asked   time.Time     // when the targets were asked for; zero if they were reached
	aimed   time.Time     // the same, also after they were reached
	keeps   time.Duration // how long the topic keeps deletions

	mu   sync.Mutex
	db   *engine.DB
	rows *engine.Reader
	at   map[int32]globalPosition
}

// globalPosition is the position in one partition of the topic.
type globalPosition struct {
	next, end int64
	target    int64 // the end when Kafka was asked last
}

func (s *globalStore) name() string  { return s.global.Store.Name }
func (s *globalStore) topic() string { return s.global.Topic.Name }

// run fills the store until the run begins to close. After a transient error it tries
// again from the last applied records. Any other error fails the application.
func (s *globalStore) run() {
	if err := s.open(); err != nil {
		s.fail(s.wrap(err))
		return
	}
	defer s.letters.close()
	for failures := 1; s.soft.Err() == nil; failures++ {
		err := s.readOn()
		switch {
		case s.soft.Err() != nil:
			return
		case !transient.Is(err):
			s.fail(s.wrap(err))
			return
		}
		s.log.Warn("reading the topic of a global store failed; trying again", "store", s.name(), "topic", s.topic(),
			"in", retries.Delay(failures), "error", err)
		_ = retries.Sleep(s.soft, failures) // the loop checks soft
	}
}

// open opens the database.
func (s *globalStore) open() error {
	dir, err := s.dir.GlobalDir(global.Fingerprint(s.global))
	if err != nil {
		return err
	}
	db, err := engine.Open(engine.Options{
		Dir: dir, FS: s.cfg.Seams.FS, Shared: s.shared, MemTableSize: s.shared.MemTableSize(openParallel),
		Logger: s.log.With("store", s.name()), NoShortcuts: s.cfg.Seams.NoShortcuts,
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.db = db
	s.mu.Unlock()
	if _, err := global.Table(db, s.global); err != nil {
		return err
	}
	rows, err := db.Reader(s.name())
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.rows = rows
	s.mu.Unlock()
	s.letters, err = newLetters(s.life, s.clients, s.catalogue)
	return err
}

// closeWriter closes the writer, if there is one.
func (s *globalStore) closeWriter() {
	if s.writer == nil {
		return
	}
	if err := s.writer.Close(); err != nil {
		s.log.Warn("could not close the writer of a global store", "store", s.name(), "error", err)
	}
	s.budget.Close()
	s.writer = nil
}

// readOn reads the topic from the store's positions. It returns when it cannot continue.
func (s *globalStore) readOn() error {
	asked := time.Now()
	topic, err := s.lookAt()
	if err != nil {
		return err
	}
	defer s.closeWriter()
	if err := s.begin(topic, asked); err != nil {
		return err
	}
	if err := s.aim(topic, asked); err != nil {
		return err
	}
	from := map[int32]int64{}
	for _, r := range topic.Ranges {
		from[r.Partition] = s.writer.At(r.Partition)
	}
	reader, err := follow.Open(follow.Config{
		Opts: s.clients.options(), Topic: s.topic(), From: from, Bytes: fetchBytes(s.cfg.BufferMemory),
	})
	if err != nil {
		return err
	}
	defer reader.Close()
	s.heard = time.Now()
	for s.soft.Err() == nil {
		if err := s.step(reader); err != nil {
			return s.judge(err)
		}
	}
	return nil
}

// lookAt asks Kafka for the topic as it is now.
func (s *globalStore) lookAt() (topic global.Topic, err error) {
	known, _ := s.catalogue.lookup(s.topic())
	parts := make([]restore.Partition, known.Partitions)
	for p := range parts {
		parts[p] = restore.Partition{Topic: s.topic(), Partition: int32(p), From: -1}
	}
	ranges, err := s.restorer.Offsets(s.soft, parts)
	if err != nil {
		return topic, err
	}
	topic.DeleteRetention = s.catalogue.deleteRetention(s.topic())
	for p, r := range ranges {
		if errors.Is(r.Err, restore.ErrMissing) {
			return topic, fmt.Errorf("topic %s was deleted while the application runs: create it again and restart", s.topic())
		}
		if r.Err != nil {
			return topic, r.Err
		}
		topic.ID = r.TopicID
		topic.Ranges = append(topic.Ranges, global.Range{Partition: int32(p), Start: r.Start, End: r.HighWatermark})
	}
	return topic, nil
}

// errOverrun is the advice if the rows of a store no longer fit the topic while tasks
// read them. The store cannot be cleared then, because the tasks would see an empty
// table.
var errOverrun = errors.New("restart the application: it then reads the topic from its start before it processes records")

// begin makes the writer at the positions that the disk has. If the disk does not fit the
// topic, it clears the disk, unless tasks may be reading it.
func (s *globalStore) begin(topic global.Topic, asked time.Time) error {
	at, confirmed, err := global.Positions(s.db, s.global)
	if err != nil {
		return err
	}
	if s.isReady() && len(at) == 0 { // a store in memory
		at = s.applied(topic.ID)
	}
	verdict := global.Judge(at, confirmed, topic, time.Now())
	if verdict.Wipe != "" {
		if s.isReady() {
			return fmt.Errorf("%s: %w", verdict.Wipe, errOverrun)
		}
		if err := s.db.Clear(verdict.Wipe); err != nil {
			return err
		}
		s.cfg.Events.Wiped(StateWiped{Task: s.task(0), Store: s.name(), Reason: verdict.Wipe})
	}
	s.budget = s.shared.NewBudget()
	s.writer, err = global.New(global.Config{
		ApplicationID: s.cfg.ApplicationID, Global: s.global, DB: s.db, Budget: s.budget, Out: s.letters, Policy: s.cfg.Policy,
		Logger: s.log.With("store", s.name()), Observer: s.observer, Context: s.hard, Sleep: backoff.Sleep,
	}, verdict.At, time.Now())
	if err != nil {
		s.budget.Close()
		s.writer = nil
		return err
	}
	if len(at) == 0 || verdict.Wipe != "" {
		return s.writer.Confirm(asked) // the store is empty
	}
	return nil
}

// applied returns the positions that the store has reached in this process.
func (s *globalStore) applied(id [16]byte) (at []global.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, position := range s.at {
		at = append(at, global.Position{Partition: p, Offset: position.next, TopicID: id})
	}
	return at
}

// globalPoll bounds one wait for records.
const globalPoll = time.Second

// step waits for records and applies them.
func (s *globalStore) step(reader *follow.Topic) error {
	wait := globalPoll
	if due, ok := s.writer.NextPunctuation(); ok {
		wait = max(min(wait, time.Until(due)), time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(s.soft, wait)
	read, failed := reader.Poll(ctx)
	cancel()
	if err := s.apply(read); err != nil {
		return err
	}
	if err := s.writer.Punctuate(time.Now()); err != nil {
		return err
	}
	s.explain(len(read) > 0)
	if failed != nil {
		return failed
	}
	return s.aimAgain()
}

// apply applies what was read.
func (s *globalStore) apply(read []follow.Batch) error {
	var batches []global.Batch
	for _, b := range read {
		batch := global.Batch{Partition: b.Partition, Next: b.Next, Inputs: make([]graph.Input, len(b.Records))}
		for i, r := range b.Records {
			batch.Inputs[i] = worker.InputOf(r)
		}
		batches = append(batches, batch)
	}
	if len(batches) == 0 {
		return nil
	}
	if err := s.writer.Apply(batches, time.Now()); err != nil {
		return err
	}
	return s.reached(read)
}

// task returns the public identity of the writer.
func (s *globalStore) task(partition int32) processor.Task {
	known, _ := s.catalogue.lookup(s.topic())
	return processor.Task{SubTopology: -1, Partition: partition, Partitions: known.Partitions}
}

// judge returns why reading has ended. The error is transient if reading may continue.
func (s *globalStore) judge(err error) error {
	var trouble *follow.Error
	if !errors.As(err, &trouble) {
		return err
	}
	var lost *kgo.ErrDataLoss
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange), errors.As(err, &lost):
		return again{err} // begin compares the positions with the topic
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
		ctx, cancel := context.WithTimeout(s.soft, topicsEvery)
		defer cancel()
		return cmp.Or(s.topics.compare(ctx), error(again{err}))
	}
	return err
}

// again is an error after which readOn starts again.
type again struct{ error }

// Transient marks the error for package transient.
func (again) Transient() bool { return true }
