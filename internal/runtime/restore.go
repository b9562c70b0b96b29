package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/transient"
)

// restore brings tasks to the state of their last commit, wherever that was made, and
// gives them to their workers, each as soon as it is ready. It does not wait. The order
// matters: the committed offsets are read first, which waits for transactions that a
// former owner has left open, and the ends of the changelogs afterwards, so that all that
// belongs to the offsets lies below them.
func (s *Run) restore(tasks []*held) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		for _, h := range tasks {
			s.finish(h)
		}
		return
	}
	s.starters.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.starters.Done()
		ready, waiting := s.located(s.enrolled(tasks))
		if len(waiting) > 0 {
			s.awaitDisks(waiting)
		}
		if tasks = ready; len(tasks) == 0 {
			return
		}
		var groups sync.WaitGroup
		for _, group := range split(tasks, s.cfg.Workers) {
			groups.Go(func() { s.restoreGroup(group) })
		}
		groups.Wait()
		s.closeUnused()
	}()
}

// located finds where tasks begin to read, and returns them without those that were taken
// away meanwhile. Those that wait cannot begin yet.
func (s *Run) located(tasks []*held) (ready, waiting []*held) {
	ready = s.untilDone(tasks, func(tasks []*held) (err error) {
		waiting, err = s.locate(tasks)
		return err
	})
	if len(ready) == 0 {
		return nil, nil
	}
	waits := func(h *held) bool { return slices.Contains(waiting, h) }
	return slices.DeleteFunc(slices.Clone(ready), waits), waiting
}

// untilDone does something for tasks, again without the tasks that are taken away
// meanwhile, and returns those that are left. If do fails for another reason, the
// application fails.
func (s *Run) untilDone(tasks []*held, do func([]*held) error) []*held {
	for len(tasks) > 0 {
		err := do(tasks)
		if err == nil {
			return tasks
		}
		left := s.withoutGone(tasks)
		if len(left) == len(tasks) {
			s.abandon(tasks, err)
			return nil
		}
		tasks = left
	}
	return nil
}

// withoutGone ends the tasks that were taken away, or that the end of the run has
// stopped, and returns the others.
func (s *Run) withoutGone(tasks []*held) []*held {
	var left []*held
	for _, h := range tasks {
		if h.ctx.Err() != nil {
			s.finish(h)
		} else {
			left = append(left, h)
		}
	}
	return left
}

// split deals tasks out to at most n groups.
func split(tasks []*held, n int) [][]*held {
	groups := make([][]*held, min(n, len(tasks)))
	for i, h := range tasks {
		groups[i%len(groups)] = append(groups[i%len(groups)], h)
	}
	return groups
}

// abandon ends tasks that cannot be started. Unless the reason is that they, or the run,
// have ended, the application fails.
func (s *Run) abandon(tasks []*held, err error) {
	ended := s.soft.Err() != nil
	for _, h := range tasks {
		ended = ended || h.ctx.Err() != nil
	}
	if !ended {
		s.fail(err)
	}
	for _, h := range tasks {
		s.finish(h)
	}
}

// restoreGroup restores tasks with one client.
func (s *Run) restoreGroup(tasks []*held) {
	job := &restoring{session: s}
	for _, h := range tasks {
		if err := job.add(h); err != nil {
			s.abandon([]*held{h}, fmt.Errorf("task %v: %w", h.id, err))
		}
	}
	job.run()
}

// restoring is the work of restoreGroup. One goroutine uses it.
type restoring struct {
	session *Run
	parts   []*changelog
	left    map[*held]int // changelogs that are not restored
	began   time.Time
	again   error // why the current read has to be repeated
}

// changelog is the changelog of one store of one task.
type changelog struct {
	restore.Partition
	task  *held
	store string
	spec  *store.Spec
	table *engine.Table
	end   int64
	done  bool
	wiped bool // emptied, and being filled since
}

// add opens a task's database and notes what it has to catch up. A task without
// changelogs runs at once.
func (j *restoring) add(h *held) error {
	logs, err := j.session.openTask(h)
	if err != nil {
		return err
	}
	if j.left == nil {
		j.left = map[*held]int{}
	}
	if len(logs) == 0 {
		j.session.runTask(h)
		return nil
	}
	j.left[h] = len(logs)
	j.parts = append(j.parts, logs...)
	return nil
}

// openTask opens the database of a task, if it has stores and no database yet.
func (s *Run) openTask(h *held) ([]*changelog, error) {
	if h.task.Budget == nil {
		h.task.Budget = s.shared.NewBudget()
	}
	sub := s.graph.SubTopologies[h.id.SubTopology]
	if len(sub.Stores) == 0 {
		return nil, nil
	}
	if h.task.DB == nil {
		db := s.databases.take(h.id)
		if db == nil {
			var err error
			if db, err = s.openDatabase(h.id, s.statefulTasks()); err != nil {
				return nil, err
			}
		}
		h.task.DB = db
	}
	var logs []*changelog
	h.task.Changelogs = nil
	for _, store := range sub.Stores {
		spec := store.Spec
		table, err := h.task.DB.Table(store.Name, spec.Persistent())
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", store.Name, err)
		}
		if !spec.Logged() {
			continue
		}
		topic := spec.ChangelogTopic(s.cfg.ApplicationID)
		h.task.Changelogs = append(h.task.Changelogs, topic)
		log := &changelog{task: h, store: store.Name, spec: spec, table: table}
		log.Topic, log.Partition.Partition = topic, h.id.Partition
		logs = append(logs, log)
	}
	return logs, nil
}

// statefulTasks is the number of tasks with a database among those that the process
// holds.
func (s *Run) statefulTasks() int {
	n := 0
	for _, id := range s.heldTasks() {
		if len(s.graph.SubTopologies[id.SubTopology].Stores) > 0 {
			n++
		}
	}
	return max(n, 1)
}

// run reads the changelogs, again and again, until each has been restored, wiped and
// restored, or its task is gone.
func (j *restoring) run() {
	j.began = time.Now()
	for failures := 1; ; failures++ {
		parts := j.pending()
		if len(parts) == 0 {
			return
		}
		ctx, stop := j.context(parts)
		err := j.read(ctx, parts)
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
			j.session.log.Warn("restoring is tried again", "in", retries.Delay(failures), "error", err)
		}
		_ = retries.Sleep(j.session.soft, failures) // pending sees the end
	}
}

// pending are the changelogs that have to be read, from where their tables are. Tasks
// that are gone are finished here.
func (j *restoring) pending() []*changelog {
	var parts []*changelog
	for _, log := range j.parts {
		h := log.task
		if log.done || j.left[h] == 0 {
			continue
		}
		if h.ctx.Err() != nil {
			j.left[h] = 0
			j.session.finish(h)
			continue
		}
		log.From, log.TopicID = -1, restore.TopicID{}
		if at, ok := h.task.DB.Position(log.table, log.Topic); ok {
			log.From = at
		}
		if id, ok := h.task.DB.TopicID(log.table, log.Topic); ok {
			log.TopicID = id
		}
		parts = append(parts, log)
	}
	return parts
}

// context ends when the run ends, or when all tasks are gone.
func (j *restoring) context(parts []*changelog) (context.Context, func()) {
	ctx, cancel := context.WithCancel(j.session.soft)
	var gone sync.WaitGroup
	var stops []func() bool
	seen := map[*held]bool{}
	for _, log := range parts {
		if !seen[log.task] {
			seen[log.task] = true
			gone.Add(1)
			stops = append(stops, context.AfterFunc(log.task.ctx, gone.Done))
		}
	}
	go func() { // ends with stop at the latest
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
func (j *restoring) read(ctx context.Context, parts []*changelog) error {
	ids, err := j.prepare(ctx, parts)
	if err != nil {
		return err
	}
	asked := make([]restore.Partition, len(parts))
	for i, log := range parts {
		asked[i] = log.Partition
	}
	sink := func(p int, records []*kgo.Record, next int64) error { return j.apply(parts[p], records, next, ids) }
	individual := false
	done := func(p int, next int64, err error) {
		individual = individual || err != nil
		j.finished(parts[p], next, err, ids)
	}
	j.again = nil
	err = j.session.restorer.Restore(ctx, asked, sink, done, func(p restore.Progress) { j.progress(parts, p) })
	if individual {
		return j.again
	}
	return err
}

// prepare wipes what is too old to be caught up, and returns the topics' IDs.
func (j *restoring) prepare(ctx context.Context, parts []*changelog) (map[string]restore.TopicID, error) {
	topics := map[string]bool{}
	var names []string
	var old []*changelog
	for _, log := range parts {
		if !topics[log.Topic] {
			topics[log.Topic] = true
			names = append(names, log.Topic)
		}
		if j.tombstonesGone(log) {
			old = append(old, log)
		}
	}
	ids, err := j.session.restorer.TopicIDs(ctx, names...)
	if err != nil || len(old) == 0 {
		return ids, err
	}
	asked := make([]restore.Partition, len(old))
	for i, log := range old {
		asked[i] = log.Partition
	}
	ranges, err := j.session.restorer.Offsets(ctx, asked)
	if err != nil {
		return nil, err
	}
	for i, log := range old {
		if ranges[i].Err == nil && log.From+j.session.markers() < ranges[i].HighWatermark {
			j.wipe(log, "it is behind, and so old that deletions of that time may be gone from the changelog (delete.retention.ms)")
		}
	}
	return ids, nil
}

// markers is how many offsets come behind the position of a store that has seen
// everything: the last commit's own marker.
func (s *Run) markers() int64 {
	if s.cfg.ExactlyOnce {
		return 1
	}
	return 0
}

// tombstonesGone says that a compacted changelog may have dropped deletions that the
// store has not seen.
func (j *restoring) tombstonesGone(log *changelog) bool {
	if log.From < 0 || log.wiped {
		return false
	}
	stamp := log.task.task.DB.Stamp()
	return !stamp.IsZero() && time.Since(stamp) > j.session.topics.deleteRetention(log.Topic)
}

// apply writes a batch of records and the position behind it.
func (j *restoring) apply(log *changelog, records []*kgo.Record, next int64, ids map[string]restore.TopicID) error {
	if err := log.task.ctx.Err(); err != nil {
		return err
	}
	db := log.task.task.DB
	b := db.NewBatch()
	defer b.Close()
	rows := b.Table(log.table)
	for i, r := range records {
		if err := log.row(rows, r, i == 0); err != nil {
			return fmt.Errorf("record at offset %d: %w", r.Offset, err)
		}
	}
	b.SetPosition(log.table, log.Topic, next)
	b.SetTopicID(log.table, log.Topic, ids[log.Topic])
	if db.Stamp().IsZero() {
		b.SetStamp(j.began)
	}
	return db.Apply(b)
}

// row adds a record to rows. With check it also looks whether its key is one of the
// store.
func (log *changelog) row(rows *engine.TableBatch, r *kgo.Record, check bool) error {
	if check {
		if err := log.spec.CheckKey(r.Key); err != nil {
			return err
		}
	}
	rows.Logged(r.Offset)
	return log.spec.Restore(rows, r.Key, r.Value, r.Timestamp.UnixMilli())
}

// stamp notes how old the state of a task is that has been restored. Until it has been,
// it is as old as it was: what was read of a changelog is good for as long as the
// deletions that follow are kept there. It also notes how far the task has come.
func (j *restoring) stamp(h *held) error {
	db := h.task.DB
	b := db.NewBatch()
	defer b.Close()
	if db.Stamp().Before(j.began) {
		b.SetStamp(j.began)
	}
	b.SetProgress(j.progressOf(h))
	return db.Apply(b)
}

// progressOf is how far a task has come whose changelogs have been restored: the
// committed offsets were read before their ends.
func (j *restoring) progressOf(h *held) *engine.Progress {
	p := &engine.Progress{}
	for _, in := range h.task.Inputs {
		p.Inputs = append(p.Inputs, engine.InputProgress{Topic: in.Topic, Partition: in.Partition, TopicID: in.TopicID, Offset: in.Offset, Metadata: in.Metadata})
	}
	for _, log := range j.parts {
		if log.task != h {
			continue
		}
		at := engine.ChangelogProgress{Topic: log.Topic, Position: -1}
		if next, ok := h.task.DB.Position(log.table, log.Topic); ok {
			at.Position = next
		}
		at.TopicID, _ = h.task.DB.TopicID(log.table, log.Topic)
		p.Changelogs = append(p.Changelogs, at)
	}
	return p
}

func (j *restoring) finished(log *changelog, next int64, err error, ids map[string]restore.TopicID) {
	if j.left[log.task] == 0 {
		// Another changelog has failed meanwhile, and all tasks with it.
		return
	}
	if err == nil && (log.From != next || log.TopicID == restore.TopicID{}) {
		err = j.apply(log, nil, next, ids)
	}
	if err == nil {
		log.done = true
		j.report(log, next, next, true)
		if j.left[log.task]--; j.left[log.task] == 0 {
			if err := j.stamp(log.task); err != nil {
				j.session.log.Warn("the age of restored state was not noted", "task", log.task.id.String(), "error", err)
			}
			j.session.log.Debug("restored", "task", log.task.id.String(), "took", time.Since(j.began))
			j.session.runTask(log.task)
		}
		return
	}
	if log.task.ctx.Err() != nil {
		return
	}
	j.putRight(log, err)
}

// putRight does what makes a changelog readable that could not be read from where the
// store was.
func (j *restoring) putRight(log *changelog, err error) {
	var outside *restore.OutOfRangeError
	switch {
	case errors.Is(err, restore.ErrRecreated):
		j.wipe(log, "its changelog was deleted and created again")
	case errors.As(err, &outside) && outside.From > outside.End:
		j.wipe(log, fmt.Sprintf("it is at offset %d of its changelog, which ends at %d: Kafka has lost records", outside.From, outside.End))
	case errors.As(err, &outside) && log.spec.Changelog().Kind == store.WindowedChangelog && j.session.topics.expires(log.Topic):
		// The broker has deleted records by its clock, maybe some of windows that are
		// still open. The store's rows of these are the best there is. Rows of windows
		// that have expired are deleted at the next commit.
		j.session.log.Warn("the broker has deleted records of a window store's changelog, maybe of windows that are still open: give the topic retention.ms=-1 and retention.bytes=-1",
			"store", log.store, "topic", log.Topic, "partition", log.Partition.Partition, "from", outside.From, "to", outside.Start)
		if err := j.apply(log, nil, outside.Start, map[string]restore.TopicID{log.Topic: log.TopicID}); err != nil {
			j.failAll(err)
		}
	case errors.As(err, &outside) && log.spec.Changelog().Kind == store.WindowedChangelog:
		if err := j.dropExpired(log, outside.Start); err != nil {
			j.failAll(fmt.Errorf("task %v: dropping expired rows of store %s: %w", log.task.id, log.store, err))
		}
	case errors.As(err, &outside):
		j.wipe(log, fmt.Sprintf("it is at offset %d of its changelog, which begins at %d: deletions in between may be gone", outside.From, outside.Start))
	case transient.Is(err):
		j.again = err
	default:
		j.failAll(fmt.Errorf("task %v: store %s: %w", log.task.id, log.store, err))
	}
}

// dropExpired empties a window store whose changelog was trimmed up to start, which is
// beyond the store's position. No row that is still needed has a record before start, so
// none of the store's rows is needed, and nothing is lost.
func (j *restoring) dropExpired(log *changelog, start int64) error {
	j.session.log.Info("all rows of a window store have expired since it was here last", "task", log.task.id.String(), "store", log.store, "position", log.From, "start", start)
	b := log.task.task.DB.NewBatch()
	defer b.Close()
	if err := b.Table(log.table).DeleteRange(nil, nil); err != nil {
		return err
	}
	b.SetPosition(log.table, log.Topic, start)
	log.wiped = true
	return log.task.task.DB.Apply(b)
}

func (j *restoring) wipe(log *changelog, reason string) {
	if err := log.task.task.DB.Wipe(log.table, log.Topic, reason); err != nil {
		j.failAll(fmt.Errorf("task %v: wiping store %s: %w", log.task.id, log.store, err))
		return
	}
	log.From, log.TopicID, log.wiped = -1, restore.TopicID{}, true
	j.session.cfg.Events.Wiped(StateWiped{Task: log.task.task.ID, Store: log.store, Reason: reason})
}

// failAll fails the application; pending then ends the tasks.
func (j *restoring) failAll(err error) {
	j.session.fail(err)
	for _, log := range j.parts {
		if j.left[log.task] > 0 {
			log.task.cancel()
		}
	}
	j.pending()
}

func (j *restoring) progress(parts []*changelog, p restore.Progress) {
	for _, log := range parts {
		if log.Topic == p.Partition.Topic && log.Partition.Partition == p.Partition.Partition {
			log.end = p.End
			j.report(log, p.Position, p.End, false)
		}
	}
}

func (j *restoring) report(log *changelog, position, end int64, done bool) {
	j.session.cfg.Events.Restoring(RestoreProgress{Task: log.task.task.ID, Store: log.store, Changelog: log.Topic, Position: position, End: end, Done: done})
}
