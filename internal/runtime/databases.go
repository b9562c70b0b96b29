package runtime

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/taskid"
	"github.com/millrace-streams/millrace/internal/worker"
)

// databases opens and closes the databases of tasks.
//
// Databases from earlier runs are opened before the group is joined, because the group's
// leader places a task where its database is least behind. If the task is assigned here,
// it gets the open database. closeUnused closes the rest.
type databases struct {
	*life
	plan   *plan
	layout *layout
	shared *engine.Shared
	seams  Seams

	mu   sync.Mutex
	open map[taskid.ID]*engine.DB // databases whose tasks have not come yet
	lags map[taskid.ID]int64
}

func newDatabases(l *life, p *plan, layout *layout, shared *engine.Shared, seams Seams) *databases {
	return &databases{
		life: l, plan: p, layout: layout, shared: shared, seams: seams,
		open: map[taskid.ID]*engine.DB{}, lags: map[taskid.ID]int64{},
	}
}

// openParallel bounds how many databases are opened at once. Opening one waits for the
// disk.
const openParallel = 8

// openAll opens the existing databases. Errors are only logged: if the task is assigned
// here, opening its database again reports them.
func (d *databases) openAll() {
	dirs, err := d.layout.dir.TaskDirs()
	if err != nil {
		d.log.Warn("could not list the tasks in the state directory", "error", err)
		return
	}
	var opening sync.WaitGroup
	slots := make(chan struct{}, openParallel)
	for _, dir := range dirs {
		if d.layout.waits(dir, d.plan) {
			continue
		}
		id, ok := d.layout.taskOf(dir, d.plan)
		if !ok || !d.plan.stateful(id) {
			d.remove(dir)
			continue
		}
		slots <- struct{}{}
		opening.Go(func() {
			defer func() { <-slots }()
			db, err := d.openOne(id, len(dirs))
			if err != nil {
				d.log.Warn("could not open a database before its task is assigned; the task tries again", "task", id.String(), "error", err)
				return
			}
			d.mu.Lock()
			d.open[id] = db
			d.mu.Unlock()
		})
	}
	opening.Wait()
}

// remove removes the directory of a task that the topology no longer has. Its stores now
// belong to other tasks, which have restored them from their changelogs.
func (d *databases) remove(dir string) {
	d.log.Info("removing the state of a task", "directory", dir, "reason", "the topology no longer has this task with stores")
	if err := d.layout.dir.Destroy(dir); err != nil {
		d.log.Warn("could not remove the state of a task", "directory", dir, "error", err)
	}
}

// openOne opens a task's database. n is the number of databases.
func (d *databases) openOne(id taskid.ID, n int) (*engine.DB, error) {
	dir, err := d.layout.dir.TaskDir(d.layout.dirOf(id))
	if err != nil {
		return nil, err
	}
	db, err := engine.Open(engine.Options{
		Dir: dir, FS: d.seams.FS, Shared: d.shared, MemTableSize: d.shared.MemTableSize(n), Logger: d.log.With("task", id.String()),
		Mistake: d.seams.Mistake, NoShortcuts: d.seams.NoShortcuts, SweepRows: d.seams.SweepRows,
	})
	if err != nil {
		return nil, err
	}
	if err := d.openTables(db, d.plan.sub(id).Stores); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// openTables opens the tables of a task's stores. It drops the tables of stores that have
// moved to other tasks. If such a store came back, the age of the database would say
// nothing about its table.
func (d *databases) openTables(db *engine.DB, stores []*graph.Store) error {
	mine := map[string]bool{}
	for _, kept := range stores {
		mine[kept.Name] = true
		table, err := db.Table(kept.Name, kept.Spec.Persistent())
		if err == nil {
			err = kept.Spec.Prepare(table)
		}
		if err != nil {
			return fmt.Errorf("store %s: %w", kept.Name, err)
		}
	}
	for _, name := range db.Stores() {
		if mine[name] {
			continue
		}
		// A store that was restored from the topic of its table has the topic's name.
		changelog := store.ChangelogTopic(d.plan.application, name)
		if err := db.Drop(name, "the topology has moved it to another task, or removed it", changelog, name); err != nil {
			return err
		}
	}
	return nil
}

// measureLags counts the changelog records that each open database has not seen.
func (d *databases) measureLags(ctx context.Context, client *kgo.Client) error {
	if len(d.open) == 0 {
		return nil
	}
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, append(d.plan.changelogs(), d.plan.tableTopics()...)...)
	if err != nil {
		return err
	}
	for id, db := range d.open {
		var lag int64
		for _, kept := range d.plan.sub(id).Stores {
			topic := d.plan.restoredFrom(kept)
			if topic == "" {
				continue
			}
			table, err := db.Table(kept.Name, kept.Spec.Persistent())
			if err != nil {
				return err
			}
			at, _ := db.Position(table, topic)
			end, _ := ends.Lookup(topic, id.Partition)
			lag += max(end.Offset-at, 0)
		}
		d.lags[id] = lag
	}
	return nil
}

// progress returns the progress of each open database that knows it.
func (d *databases) progress() (map[taskid.ID]engine.Progress, error) {
	found := map[taskid.ID]engine.Progress{}
	for id, db := range d.open {
		p, ok, err := db.Progress()
		if err != nil {
			return nil, err
		}
		if ok {
			found[id] = p
		}
	}
	return found, nil
}

// attach gives a task its memory budget. If the task has stores and no database yet,
// attach also opens its database. n is the number of databases that the process needs.
func (d *databases) attach(t *worker.Task, id taskid.ID, n int) error {
	if t.Budget == nil {
		t.Budget = d.shared.NewBudget()
	}
	if t.DB != nil || !d.plan.stateful(id) {
		return nil
	}
	if t.DB = d.take(id); t.DB != nil {
		return nil
	}
	db, err := d.openOne(id, n)
	if err != nil {
		return err
	}
	t.DB = db
	return nil
}

// detach closes what attach has opened. caughtUp says that the task's state was restored.
// The disk then has the state of the last commit.
func (d *databases) detach(t *worker.Task, id taskid.ID, caughtUp bool) {
	t.Budget.Close()
	if t.DB == nil {
		return
	}
	if caughtUp {
		d.mu.Lock()
		d.lags[id] = 0
		d.mu.Unlock()
	}
	if err := t.DB.Close(); err != nil {
		d.log.Warn("could not close the database of a task; its state is restored from the changelog if it is too old", "task", id.String(), "error", err)
	}
}

// take returns the open database of a task, or nil. The caller then owns it.
func (d *databases) take(id taskid.ID) *engine.DB {
	d.mu.Lock()
	defer d.mu.Unlock()
	db := d.open[id]
	delete(d.open, id)
	return db
}

// knownLags returns a copy of the lags.
func (d *databases) knownLags() map[taskid.ID]int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.lags)
}

// closeUnused closes the open databases whose tasks were not assigned here. A concurrent
// take blocks until closeUnused returns; its caller then reopens the database.
func (d *databases) closeUnused() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, db := range d.open {
		if err := db.Close(); err != nil {
			d.log.Warn("could not close the database of a task that is not assigned here", "task", id.String(), "error", err)
		}
	}
	d.open = nil
}
