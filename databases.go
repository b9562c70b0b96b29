package millrace

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-streams/millrace/internal/assignment"
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
)

// databases are the databases that lie in the state directory from former runs, opened before the group is joined: how far each is behind decides
// where the group's leader places its task. Those whose tasks come are used, the others are closed.
type databases struct {
	mu   sync.Mutex
	open map[assignment.TaskID]*engine.DB
	lags map[assignment.TaskID]int64
}

// openParallel bounds how many databases are opened at once; opening one waits for the disk.
const openParallel = 8

// openDatabases opens the databases that are there and finds out how far they are behind. What fails here fails, or does not matter, when the task comes.
func (r *session) openDatabases() {
	r.databases.open, r.databases.lags = map[assignment.TaskID]*engine.DB{}, map[assignment.TaskID]int64{}
	dirs, err := r.dir.TaskDirs()
	if err != nil {
		r.log.Warn("listing the tasks in the state directory", "error", err)
		return
	}
	var opening sync.WaitGroup
	slots := make(chan struct{}, openParallel)
	for _, dir := range dirs {
		id, ok := r.layout.taskOf(dir)
		if !ok || len(r.graph.SubTopologies[id.SubTopology].Stores) == 0 {
			r.removeDirectory(dir)
			continue
		}
		slots <- struct{}{}
		opening.Go(func() {
			defer func() { <-slots }()
			db, err := r.openDatabase(id, len(dirs))
			if err != nil {
				r.log.Warn("opening a database ahead of its task", "task", id.String(), "error", err)
				return
			}
			r.databases.mu.Lock()
			r.databases.open[id] = db
			r.databases.mu.Unlock()
		})
	}
	opening.Wait()
	ctx, cancel := context.WithTimeout(r.soft, topicsEvery)
	defer cancel()
	if err := r.measureLags(ctx); err != nil {
		r.log.Warn("asking for the ends of changelogs", "error", err)
	}
}

// removeDirectory removes what an earlier version of the topology has left behind: a task whose stores belong to other tasks now, which have restored them from
// their changelogs.
func (r *session) removeDirectory(dir string) {
	r.log.Info("removing the state of a task", "directory", dir, "reason", "the topology has no such task with stores any more")
	if err := r.dir.Destroy(dir); err != nil {
		r.log.Warn("removing the state of a task", "directory", dir, "error", err)
	}
}

// openDatabase opens a task's database; n is how many there are.
func (r *session) openDatabase(id assignment.TaskID, n int) (*engine.DB, error) {
	dir, err := r.dir.TaskDir(r.layout.dirOf(id))
	if err != nil {
		return nil, err
	}
	db, err := engine.Open(engine.Options{
		Dir: dir, FS: r.app.seams.fs, Shared: r.shared, MemTableSize: r.shared.MemTableSize(n), Logger: r.log.With("task", id.String()),
		KeepCells: r.app.seams.mutations.keepCache,
	})
	if err != nil {
		return nil, err
	}
	if err := r.openTables(db, r.graph.SubTopologies[id.SubTopology].Stores); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// openTables opens the tables of a task's stores, and drops those of stores that have moved to other tasks: should they come back, the age of the database would say
// nothing about theirs.
func (r *session) openTables(db *engine.DB, stores []*graph.Store) error {
	mine := map[string]bool{}
	for _, store := range stores {
		mine[store.Name] = true
		spec, ok := store.Spec.(engine.Spec)
		if !ok {
			return fmt.Errorf("store %s: %T is not a store of package state or windowstore", store.Name, store.Spec)
		}
		if _, err := db.Table(store.Name, spec.Persistent()); err != nil {
			return fmt.Errorf("store %s: %w", store.Name, err)
		}
	}
	for _, name := range db.Stores() {
		if mine[name] {
			continue
		}
		if err := db.Drop(name, changelogTopic(r.cfg.ApplicationID, name), "the topology has it in another task now, or not any more"); err != nil {
			return err
		}
	}
	return nil
}

// measureLags counts the changelog records that each open database has not seen.
func (r *session) measureLags(ctx context.Context) error {
	if len(r.databases.open) == 0 {
		return nil
	}
	ends, err := kadm.NewClient(r.client).ListEndOffsets(ctx, r.topics.changelogs()...)
	if err != nil {
		return err
	}
	for id, db := range r.databases.open {
		var lag int64
		for _, store := range r.graph.SubTopologies[id.SubTopology].Stores {
			spec := store.Spec.(engine.Spec)
			if spec.Changelog().Kind == engine.NoChangelog {
				continue
			}
			table, err := db.Table(store.Name, spec.Persistent())
			if err != nil {
				return err
			}
			topic := changelogTopic(r.cfg.ApplicationID, store.Name)
			at, _ := db.Position(table, topic)
			end, _ := ends.Lookup(topic, id.Partition)
			lag += max(end.Offset-at, 0)
		}
		r.databases.lags[id] = lag
	}
	return nil
}

// take returns the open database of a task, nil if there is none. It is the caller's then.
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

// closeUnused closes what nobody has taken. Who wants one of them meanwhile waits, and opens it anew.
func (r *session) closeUnused() {
	r.databases.mu.Lock()
	defer r.databases.mu.Unlock()
	for id, db := range r.databases.open {
		if err := db.Close(); err != nil {
			r.log.Warn("closing the database of a task that is not here", "task", id.String(), "error", err)
		}
	}
	r.databases.open = nil
}
