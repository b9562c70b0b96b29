package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/transient"
	"github.com/millrace-streams/millrace/processor"
)

// changelogReader reads changelogs. It is a *restore.Restorer.
type changelogReader interface {
	TopicIDs(ctx context.Context, topics ...string) (map[string]restore.TopicID, error)
	Offsets(ctx context.Context, parts []restore.Partition) ([]restore.Range, error)
	Restore(ctx context.Context, parts []restore.Partition, sink restore.Sink, done restore.Done, progress func(restore.Progress)) error
}

// retention says what the broker may delete from a changelog. The catalogue implements
// it.
type retention interface {
	expires(topic string) bool
	deleteRetention(topic string) time.Duration
}

// restoring catches databases up from their changelogs. It knows targets and changelogs,
// but not the purpose of a target.
type restoring struct {
	*life
	reader    changelogReader
	retention retention
	events    Events
	policy    processor.ErrorPolicy
	// markers is how many offsets lie between the position of an up-to-date store and the
	// end of its changelog. With transactions it is one: the marker of the last commit.
	markers int64
	// memory bounds the bytes of records that were read and are not yet in databases.
	memory int64
}

// maxHeld bounds these bytes for one changelog. A database writes each large batch as a
// sorted table, and merges every few of them. Few large batches therefore cost less than
// many small ones.
const maxHeld = 6 << 20

// run restores targets with one client, and returns when each is ready or gone.
func (r restoring) run(targets []*target) {
	job := &restoreJob{restoring: r}
	for _, t := range targets {
		t.left = len(t.logs)
		for _, log := range t.logs {
			if log.fromTopic != nil {
				log.rows = &task.TableRows{From: log.fromTopic, Policy: r.policy, Sleep: backoff.Sleep}
			}
		}
		job.logs = append(job.logs, t.logs...)
	}
	job.run()
}

// restoreJob is the work of one run. Only one goroutine uses it.
type restoreJob struct {
	restoring
	logs  []*changelog
	began time.Time
	again error // why the current read must be repeated
}

// run reads the changelogs repeatedly. It returns when each one has been restored, if
// need be after a wipe, or its target is gone.
func (j *restoreJob) run() {
	j.began = time.Now()
	for failures := 1; ; failures++ {
		logs := j.pending()
		if len(logs) == 0 {
			return
		}
		ctx, stop := untilAllGone(j.soft, logs)
		err := j.read(ctx, logs)
		ended := ctx.Err() != nil // stop below ends it as well
		stop()
		if err == nil || len(j.pending()) == 0 {
			continue
		}
		if !ended && !transient.Is(err) {
			j.failAll(err)
			return
		}
		if !ended {
			j.log.Warn("restoring failed; trying again", "in", retries.Delay(failures), "error", err)
		}
		_ = retries.Sleep(j.soft, failures) // pending checks soft
	}
}

// pending returns the changelogs to read, each from the position of its table. It gives
// up targets that are gone.
func (j *restoreJob) pending() []*changelog {
	var logs []*changelog
	for _, log := range j.logs {
		t := log.target
		if log.done || t.left == 0 {
			continue
		}
		if t.ctx.Err() != nil {
			j.dropTarget(t)
			continue
		}
		log.locate()
		logs = append(logs, log)
	}
	return logs
}

// dropTarget gives up a target that is gone.
func (j *restoreJob) dropTarget(t *target) {
	for _, log := range t.logs {
		log.drop()
	}
	t.left = 0
	t.gone()
}

// untilAllGone returns a context that ends when ctx ends, or when all targets of logs are
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
	go func() { // ended by the returned function
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

// read reads the changelogs once. It handles errors of single changelogs, and returns an
// error that stopped the whole read.
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
	for _, log := range logs { // those that were not read to their end hold some still
		if err := log.write(j.began); err != nil {
			j.failLog(log, err)
		}
	}
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

// prepare wipes stores that are too old to catch up, and returns the topics' IDs. It also
// warns about tables whose topic may lack rows.
func (j *restoreJob) prepare(ctx context.Context, logs []*changelog) (map[string]restore.TopicID, error) {
	topics := map[string]bool{}
	var names []string
	var asked []*changelog
	for _, log := range logs {
		if !topics[log.Topic] {
			topics[log.Topic] = true
			names = append(names, log.Topic)
		}
		if j.tombstonesGone(log) || log.fromTopic != nil && log.From < log.To {
			asked = append(asked, log)
		}
	}
	ids, err := j.reader.TopicIDs(ctx, names...)
	if err != nil || len(asked) == 0 {
		return ids, err
	}
	ranges, err := j.reader.Offsets(ctx, partitionsFrom(asked))
	if err != nil {
		return nil, err
	}
	for i, log := range asked {
		if ranges[i].Err != nil {
			continue
		}
		if j.tombstonesGone(log) && log.behind(ranges[i].HighWatermark, j.markers) {
			j.wipe(log, "the store is behind its changelog and too old: the changelog may have lost deletions that the store has not seen (delete.retention.ms)")
		}
		j.warnOfCompaction(log, ranges[i])
	}
	return ids, nil
}

// warnOfCompaction warns about a table that is restored from its topic, if the topic has
// records that were not processed yet. Compaction may have removed what they replace.
func (j *restoreJob) warnOfCompaction(log *changelog, held restore.Range) {
	if log.fromTopic == nil || log.warned || max(log.From, held.Start) >= log.To || log.To >= held.HighWatermark {
		return
	}
	log.warned = true
	j.log.Warn("restoring a table from its topic, which has records that were not processed yet: if compaction has already removed the records that they replace, these rows are missing or old until then",
		"store", log.store, "topic", log.Topic, "partition", log.Partition.Partition, "processed_up_to", log.To, "end", held.HighWatermark)
}

// tombstonesGone reports whether a compacted changelog may have dropped deletions that
// the store has not seen.
func (j *restoreJob) tombstonesGone(log *changelog) bool {
	if log.From < 0 || log.wiped {
		return false
	}
	stamp := log.target.task.DB.Stamp()
	return !stamp.IsZero() && time.Since(stamp) > j.retention.deleteRetention(log.Topic)
}

// apply adds a batch of records to those that log holds, and writes them if they are
// enough for a large batch, or if too many are held in all.
func (j *restoreJob) apply(log *changelog, records []*kgo.Record, next int64, ids map[string]restore.TopicID) error {
	if err := log.target.ctx.Err(); err != nil {
		return err
	}
	if err := log.hold(records, next, ids[log.Topic]); err != nil {
		return err
	}
	if log.unwritten.bytes < maxHeld && j.unwritten() < j.memory {
		return nil
	}
	return log.write(j.began)
}

// unwritten returns the bytes that the changelogs hold.
func (j *restoreJob) unwritten() (bytes int64) {
	for _, log := range j.logs {
		bytes += log.unwritten.bytes
	}
	return bytes
}

func (j *restoreJob) finished(log *changelog, next int64, err error, ids map[string]restore.TopicID) {
	t := log.target
	if t.left == 0 {
		// Another changelog has failed meanwhile, and with it all targets.
		return
	}
	if err == nil && (log.From != next || log.TopicID == restore.TopicID{}) {
		err = log.hold(nil, next, ids[log.Topic])
	}
	if written := log.write(j.began); written != nil {
		err = written
	}
	if err == nil {
		log.done = true
		if log.rows != nil && log.rows.LeftOut > 0 {
			j.log.Info("restored a table from its topic without records that the error policy skips", "store", log.store,
				"topic", log.Topic, "partition", log.Partition.Partition, "records", log.rows.LeftOut)
		}
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

// complete passes on a target whose changelogs have been restored.
func (j *restoreJob) complete(t *target) {
	if err := t.stamp(j.began); err != nil {
		j.log.Warn("could not record the age of restored state", "task", t.task.ID.String(), "error", err)
	}
	j.log.Debug("restored", "task", t.task.ID.String(), "took", time.Since(j.began))
	t.ready()
}

// repair reacts to a changelog that could not be read from the position of its store.
func (j *restoreJob) repair(log *changelog, err error) {
	var outside *restore.OutOfRangeError
	switch {
	case errors.Is(err, restore.ErrRecreated):
		j.wipe(log, "its changelog was deleted and created again")
	case errors.As(err, &outside) && outside.From > outside.End:
		j.wipe(log, fmt.Sprintf("the store is at offset %d of its changelog, which ends at %d: Kafka has lost records", outside.From, outside.End))
	case errors.As(err, &outside) && log.spec.Changelog().Kind == store.WindowedChangelog:
		j.skipTrimmed(log, outside)
	case errors.As(err, &outside):
		j.wipe(log, fmt.Sprintf("the store is at offset %d of its changelog, which begins at %d: deletions in between may be gone", outside.From, outside.Start))
	case transient.Is(err):
		j.again = err
	default:
		j.failLog(log, err)
	}
}

// skipTrimmed moves a window store to the start of its changelog, which lies after the
// store's position.
func (j *restoreJob) skipTrimmed(log *changelog, outside *restore.OutOfRangeError) {
	if !j.retention.expires(log.Topic) {
		// The task has trimmed the changelog. Every needed row has a record after the
		// start. The rows in this store have none there, so all have expired, and nothing
		// is lost.
		j.log.Info("all rows of a window store have expired since the task last ran here",
			"task", log.target.task.ID.String(), "store", log.store, "position", log.From, "start", outside.Start)
		if err := log.empty(outside.Start); err != nil {
			j.failAll(fmt.Errorf("task %v: drop expired rows of store %s: %w", log.target.task.ID, log.store, err))
		}
		return
	}
	// The broker has deleted records by its clock, perhaps of windows that are still
	// open. For these windows, the rows in the store are the only ones left, so they are
	// kept. Rows of expired windows are deleted at the next commit.
	j.log.Warn("the broker has deleted records of a window store's changelog, perhaps of open windows: set retention.ms=-1 and retention.bytes=-1 on the topic",
		"store", log.store, "topic", log.Topic, "partition", log.Partition.Partition, "from", outside.From, "to", outside.Start)
	err := log.hold(nil, outside.Start, log.TopicID)
	if err == nil {
		err = log.write(j.began)
	}
	if err != nil {
		j.failLog(log, err)
	}
}

func (j *restoreJob) wipe(log *changelog, reason string) {
	if err := log.wipe(reason); err != nil {
		j.failAll(fmt.Errorf("task %v: wipe store %s: %w", log.target.task.ID, log.store, err))
		return
	}
	j.events.Wiped(StateWiped{Task: log.target.task.Info, Store: log.store, Reason: reason})
}

// failLog fails the application because of one changelog.
func (j *restoreJob) failLog(log *changelog, err error) {
	j.failAll(fmt.Errorf("task %v: store %s: %w", log.target.task.ID, log.store, err))
}

// failAll fails the application. pending then gives up the targets.
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
