package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/transient"
)

// changelogReader reads changelogs. It is a *restore.Restorer.
type changelogReader interface {
	TopicIDs(ctx context.Context, topics ...string) (map[string]restore.TopicID, error)
	Offsets(ctx context.Context, parts []restore.Partition) ([]restore.Range, error)
	Restore(ctx context.Context, parts []restore.Partition, sink restore.Sink, done restore.Done, progress func(restore.Progress)) error
}

// retention says what the broker may delete from a changelog. It is the catalogue.
type retention interface {
	expires(topic string) bool
	deleteRetention(topic string) time.Duration
}

// restoring brings databases up to date from their changelogs. It knows targets and
// changelogs, but not what a target is restored for.
type restoring struct {
	*life
	reader    changelogReader
	retention retention
	events    Events
	// markers is how many offsets come behind the position of a store that has seen
	// everything: the last commit's own marker, if there are transactions.
	markers int64
}

// run restores targets with one client, and returns when each is ready or gone.
func (r restoring) run(targets []*target) {
	job := &restoreJob{restoring: r}
	for _, t := range targets {
		t.left = len(t.logs)
		job.logs = append(job.logs, t.logs...)
	}
	job.run()
}

// restoreJob is the work of one run. One goroutine uses it.
type restoreJob struct {
	restoring
	logs  []*changelog
	began time.Time
	again error // why the current read has to be repeated
}

// run reads the changelogs, again and again, until each has been restored, wiped and
// restored, or its target is gone.
func (j *restoreJob) run() {
	j.began = time.Now()
	for failures := 1; ; failures++ {
		logs := j.pending()
		if len(logs) == 0 {
			return
		}
		ctx, stop := untilAllGone(j.soft, logs)
		err := j.read(ctx, logs)
		ended := ctx.Err() != nil // before stop ends it
		stop()
		if err == nil || len(j.pending()) == 0 {
			continue
		}
		if !ended && !transient.Is(err) {
			j.failAll(err)
			return
		}
		if !ended {
			j.log.Warn("restoring is tried again", "in", retries.Delay(failures), "error", err)
		}
		_ = retries.Sleep(j.soft, failures) // pending sees the end
	}
}

// pending are the changelogs that have to be read, from where their tables are. Targets
// that are gone are given up here.
func (j *restoreJob) pending() []*changelog {
	var logs []*changelog
	for _, log := range j.logs {
		t := log.target
		if log.done || t.left == 0 {
			continue
		}
		if t.ctx.Err() != nil {
			t.left = 0
			t.gone()
			continue
		}
		log.locate()
		logs = append(logs, log)
	}
	return logs
}

// untilAllGone returns a context that ends with ctx, or when all targets of logs are
// gone.
func untilAllGone(ctx context.Context, logs []*changelog) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	var gone sync.WaitGroup
	var stops []func() bool
	seen := map[*target]bool{}
	for _, log := range logs {
		if !seen[log.target] {
			seen[log.target] = true
			gone.Add(1)
			stops = append(stops, context.AfterFunc(log.target.ctx, gone.Done))
		}
	}
	go func() { // ends with the returned function at the latest
		gone.Wait()
		cancel()
	}()
	return ctx, func() {
		for _, stop := range stops {
			if stop() {
				gone.Done()
			}
		}
		cancel()
	}
}

// read reads the changelogs once. It returns what stopped it as a whole; what concerns
// one changelog has been seen to.
func (j *restoreJob) read(ctx context.Context, logs []*changelog) error {
	ids, err := j.prepare(ctx, logs)
	if err != nil {
		return err
	}
	sink := func(p int, records []*kgo.Record, next int64) error { return j.apply(logs[p], records, next, ids) }
	individual := false
	done := func(p int, next int64, err error) {
		individual = individual || err != nil
		j.finished(logs[p], next, err, ids)
	}
	j.again = nil
	err = j.reader.Restore(ctx, partitionsFrom(logs), sink, done, func(p restore.Progress) { j.progress(logs, p) })
	if individual {
		return j.again
	}
	return err
}

func partitionsFrom(logs []*changelog) []restore.Partition {
	parts := make([]restore.Partition, len(logs))
	for i, log := range logs {
		parts[i] = log.Partition
	}
	return parts
}

// prepare wipes what is too old to be caught up, and returns the topics' IDs.
func (j *restoreJob) prepare(ctx context.Context, logs []*changelog) (map[string]restore.TopicID, error) {
	topics := map[string]bool{}
	var names []string
	var old []*changelog
	for _, log := range logs {
		if !topics[log.Topic] {
			topics[log.Topic] = true
			names = append(names, log.Topic)
		}
		if j.tombstonesGone(log) {
			old = append(old, log)
		}
	}
	ids, err := j.reader.TopicIDs(ctx, names...)
	if err != nil || len(old) == 0 {
		return ids, err
	}
	ranges, err := j.reader.Offsets(ctx, partitionsFrom(old))
	if err != nil {
		return nil, err
	}
	for i, log := range old {
		if ranges[i].Err == nil && log.From+j.markers < ranges[i].HighWatermark {
			j.wipe(log, "it is behind, and so old that deletions of that time may be gone from the changelog (delete.retention.ms)")
		}
	}
	return ids, nil
}

// tombstonesGone says that a compacted changelog may have dropped deletions that the
// store has not seen.
func (j *restoreJob) tombstonesGone(log *changelog) bool {
	if log.From < 0 || log.wiped {
		return false
	}
	stamp := log.target.task.DB.Stamp()
	return !stamp.IsZero() && time.Since(stamp) > j.retention.deleteRetention(log.Topic)
}

// apply writes a batch of records and the position behind it.
func (j *restoreJob) apply(log *changelog, records []*kgo.Record, next int64, ids map[string]restore.TopicID) error {
	if err := log.target.ctx.Err(); err != nil {
		return err
	}
	return log.apply(records, next, ids[log.Topic], j.began)
}

func (j *restoreJob) finished(log *changelog, next int64, err error, ids map[string]restore.TopicID) {
	t := log.target
	if t.left == 0 {
		// Another changelog has failed meanwhile, and all targets with it.
		return
	}
	if err == nil && (log.From != next || log.TopicID == restore.TopicID{}) {
		err = j.apply(log, nil, next, ids)
	}
	if err == nil {
		log.done = true
		j.report(log, next, next, true)
		if t.left--; t.left == 0 {
			j.complete(t)
		}
		return
	}
	if t.ctx.Err() == nil {
		j.repair(log, err)
	}
}

// complete hands a target over whose changelogs have been restored.
func (j *restoreJob) complete(t *target) {
	if err := t.stamp(j.began); err != nil {
		j.log.Warn("the age of restored state was not noted", "task", t.task.ID.String(), "error", err)
	}
	j.log.Debug("restored", "task", t.task.ID.String(), "took", time.Since(j.began))
	t.ready()
}

// repair does what makes a changelog readable that could not be read from where the store
// was.
func (j *restoreJob) repair(log *changelog, err error) {
	var outside *restore.OutOfRangeError
	switch {
	case errors.Is(err, restore.ErrRecreated):
		j.wipe(log, "its changelog was deleted and created again")
	case errors.As(err, &outside) && outside.From > outside.End:
		j.wipe(log, fmt.Sprintf("it is at offset %d of its changelog, which ends at %d: Kafka has lost records", outside.From, outside.End))
	case errors.As(err, &outside) && log.spec.Changelog().Kind == store.WindowedChangelog:
		j.skipTrimmed(log, outside)
	case errors.As(err, &outside):
		j.wipe(log, fmt.Sprintf("it is at offset %d of its changelog, which begins at %d: deletions in between may be gone", outside.From, outside.Start))
	case transient.Is(err):
		j.again = err
	default:
		j.failAll(fmt.Errorf("task %v: store %s: %w", log.target.task.ID, log.store, err))
	}
}

// skipTrimmed moves a window store to the start of its changelog, which is beyond the
// store's position.
func (j *restoreJob) skipTrimmed(log *changelog, outside *restore.OutOfRangeError) {
	if !j.retention.expires(log.Topic) {
		// The task has trimmed the changelog. No row that is still needed has a record
		// before the start, so none of the store's rows is needed, and nothing is lost.
		j.log.Info("all rows of a window store have expired since it was here last",
			"task", log.target.task.ID.String(), "store", log.store, "position", log.From, "start", outside.Start)
		if err := log.empty(outside.Start); err != nil {
			j.failAll(fmt.Errorf("task %v: dropping expired rows of store %s: %w", log.target.task.ID, log.store, err))
		}
		return
	}
	// The broker has deleted records by its clock, maybe some of windows that are still
	// open. The store's rows of these are the best there is. Rows of windows that have
	// expired are deleted at the next commit.
	j.log.Warn("the broker has deleted records of a window store's changelog, maybe of windows that are still open: give the topic retention.ms=-1 and retention.bytes=-1",
		"store", log.store, "topic", log.Topic, "partition", log.Partition.Partition, "from", outside.From, "to", outside.Start)
	if err := j.apply(log, nil, outside.Start, map[string]restore.TopicID{log.Topic: log.TopicID}); err != nil {
		j.failAll(err)
	}
}

func (j *restoreJob) wipe(log *changelog, reason string) {
	if err := log.wipe(reason); err != nil {
		j.failAll(fmt.Errorf("task %v: wiping store %s: %w", log.target.task.ID, log.store, err))
		return
	}
	j.events.Wiped(StateWiped{Task: log.target.task.Info, Store: log.store, Reason: reason})
}

// failAll fails the application; pending then gives up the targets.
func (j *restoreJob) failAll(err error) {
	j.fail(err)
	for _, log := range j.logs {
		if log.target.left > 0 {
			log.target.cancel()
		}
	}
	j.pending()
}

func (j *restoreJob) progress(logs []*changelog, p restore.Progress) {
	for _, log := range logs {
		if log.Topic == p.Partition.Topic && log.Partition.Partition == p.Partition.Partition {
			j.report(log, p.Position, p.End, false)
		}
	}
}

func (j *restoreJob) report(log *changelog, position, end int64, done bool) {
	j.events.Restoring(RestoreProgress{
		Task: log.target.task.Info, Store: log.store, Changelog: log.Topic, Position: position, End: end, Done: done,
	})
}
