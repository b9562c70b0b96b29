package runtime

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-streams/millrace/internal/assignment"
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/inputs"
	"github.com/millrace-streams/millrace/internal/store"
)

// databases are the databases that lie in the state directory from former runs, opened
// before the group is joined: how far each is behind decides where the group's leader
// places its task. Those whose tasks come are used, the others are closed.
type databases struct {
	mu   sync.Mutex
	open map[assignment.TaskID]*engine.DB
	lags map[assignment.TaskID]int64
}

// openParallel bounds how many databases are opened at once; opening one waits for the
// disk.
const openParallel = 8

// openDatabases opens the databases that are there and finds out how far they are behind.
// What fails here fails, or does not matter, when the task comes.
func (s *Run) openDatabases() {
	s.databases.open, s.databases.lags = map[assignment.TaskID]*engine.DB{}, map[assignment.TaskID]int64{}
	dirs, err := s.dir.TaskDirs()
	if err != nil {
		s.log.Warn("listing the tasks in the state directory", "error", err)
		return
	}
	var opening sync.WaitGroup
	slots := make(chan struct{}, openParallel)
	for _, dir := range dirs {
		id, ok := s.layout.taskOf(dir)
		if !ok || len(s.graph.SubTopologies[id.SubTopology].Stores) == 0 {
			s.removeDirectory(dir)
			continue
		}
		slots <- struct{}{}
		opening.Go(func() {
			defer func() { <-slots }()
			db, err := s.openDatabase(id, len(dirs))
			if err != nil {
				s.log.Warn("opening a database ahead of its task", "task", id.String(), "error", err)
				return
			}
			s.databases.mu.Lock()
			s.databases.open[id] = db
			s.databases.mu.Unlock()
		})
	}
	opening.Wait()
	ctx, cancel := context.WithTimeout(s.soft, topicsEvery)
	defer cancel()
	if err := s.measureLags(ctx); err != nil {
		s.log.Warn("asking for the ends of changelogs", "error", err)
	}
	if err := s.publishDisks(ctx); err != nil {
		s.log.Warn("telling other processes what is on this disk; a task that has lost its offsets cannot go on in another process", "error", err)
	}
}

// publishDisks tells the other processes how far the open databases are whose tasks have
// lost a committed offset. The group may give such a task to another process, which then
// restores the state from the changelogs and goes on at the offsets of this disk.
func (s *Run) publishDisks(ctx context.Context) error {
	asked, disks := map[string][]int32{}, map[inputs.Partition]engine.Progress{}
	for id, db := range s.databases.open {
		t := s.locatable(&held{id: id})
		p, ok, err := db.Progress()
		if err != nil {
			return err
		}
		if !ok || len(t.Inputs) == 0 {
			continue
		}
		disks[t.Inputs[0]] = p
		for _, in := range t.Inputs {
			asked[in.Topic] = append(asked[in.Topic], in.Partition)
		}
	}
	if len(disks) == 0 {
		return nil
	}
	committed, err := inputs.Committed(ctx, s.client, s.cfg.ApplicationID, asked)
	if err != nil {
		return err
	}
	if err := s.records.Read(ctx, s.restorer); err != nil {
		return err
	}
	for task, p := range disks {
		if !slices.ContainsFunc(p.Inputs, func(in engine.InputProgress) bool { return !has(committed, in) }) {
			delete(disks, task)
		}
	}
	return s.records.Publish(ctx, s.client, s.dir.ProcessID(), disks)
}

// has reports whether an input has a committed offset. Inputs that the topology does not
// have any more were not asked for.
func has(committed kadm.OffsetResponses, in engine.InputProgress) bool {
	at, asked := committed.Lookup(in.Topic, in.Partition)
	return !asked || at.At >= 0
}

// removeDirectory removes what an earlier version of the topology has left behind: a task
// whose stores belong to other tasks now, which have restored them from their changelogs.
func (s *Run) removeDirectory(dir string) {
	s.log.Info("removing the state of a task", "directory", dir, "reason", "the topology has no such task with stores any more")
	if err := s.dir.Destroy(dir); err != nil {
		s.log.Warn("removing the state of a task", "directory", dir, "error", err)
	}
}

// openDatabase opens a task's database; n is how many there are.
func (s *Run) openDatabase(id assignment.TaskID, n int) (*engine.DB, error) {
	dir, err := s.dir.TaskDir(s.layout.dirOf(id))
	if err != nil {
		return nil, err
	}
	db, err := engine.Open(engine.Options{
		Dir: dir, FS: s.cfg.Seams.FS, Shared: s.shared, MemTableSize: s.shared.MemTableSize(n), Logger: s.log.With("task", id.String()),
		KeepCells: s.cfg.Seams.Mutations.KeepCache,
	})
	if err != nil {
		return nil, err
	}
	if err := s.openTables(db, s.graph.SubTopologies[id.SubTopology].Stores); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// openTables opens the tables of a task's stores, and drops those of stores that have
// moved to other tasks: should they come back, the age of the database would say nothing
// about theirs.
func (s *Run) openTables(db *engine.DB, stores []*graph.Store) error {
	mine := map[string]bool{}
	for _, store := range stores {
		mine[store.Name] = true
		if _, err := db.Table(store.Name, store.Spec.Persistent()); err != nil {
			return fmt.Errorf("store %s: %w", store.Name, err)
		}
	}
	for _, name := range db.Stores() {
		if mine[name] {
			continue
		}
		if err := db.Drop(name, store.ChangelogTopic(s.cfg.ApplicationID, name), "the topology has it in another task now, or not any more"); err != nil {
			return err
		}
	}
	return nil
}

// measureLags counts the changelog records that each open database has not seen.
func (s *Run) measureLags(ctx context.Context) error {
	if len(s.databases.open) == 0 {
		return nil
	}
	ends, err := kadm.NewClient(s.client).ListEndOffsets(ctx, s.topics.changelogs()...)
	if err != nil {
		return err
	}
	for id, db := range s.databases.open {
		var lag int64
		for _, store := range s.graph.SubTopologies[id.SubTopology].Stores {
			if !store.Spec.Logged() {
				continue
			}
			table, err := db.Table(store.Name, store.Spec.Persistent())
			if err != nil {
				return err
			}
			topic := store.Spec.ChangelogTopic(s.cfg.ApplicationID)
			at, _ := db.Position(table, topic)
			end, _ := ends.Lookup(topic, id.Partition)
			lag += max(end.Offset-at, 0)
		}
		s.databases.lags[id] = lag
	}
	return nil
}

// take returns the open database of a task, nil if there is none. It is the caller's
// then.
func (d *databases) take(id assignment.TaskID) *engine.DB {
	d.mu.Lock()
	defer d.mu.Unlock()
	db := d.open[id]
	delete(d.open, id)
	return db
}

// caughtUp notes that the state of a task on the disk was complete a moment ago.
func (d *databases) caughtUp(id assignment.TaskID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lags[id] = 0
}

// snapshot returns a copy of the lags.
func (d *databases) snapshot() map[assignment.TaskID]int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	lags := make(map[assignment.TaskID]int64, len(d.lags))
	for id, lag := range d.lags {
		lags[id] = lag
	}
	return lags
}

// closeUnused closes what nobody has taken. Who wants one of them meanwhile waits, and
// opens it anew.
func (s *Run) closeUnused() {
	s.databases.mu.Lock()
	defer s.databases.mu.Unlock()
	for id, db := range s.databases.open {
		if err := db.Close(); err != nil {
			s.log.Warn("closing the database of a task that is not here", "task", id.String(), "error", err)
		}
	}
	s.databases.open = nil
}
