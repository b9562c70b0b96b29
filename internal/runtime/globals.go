package runtime

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/global"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/statedir"
	"github.com/millrace-streams/millrace/internal/task"
)

// globals fills the global stores of the process. Each store has one goroutine, which is
// its only writer. The workers' tasks read the stores.
type globals struct {
	all []*globalStore // in the order of the topology; made with the Run

	// Set before start.
	*life
	cfg       *Config
	clients   *clients
	restorer  *restore.Restorer
	catalogue *catalogue
	topics    *topicWatch
	dir       *statedir.Dir
	shared    *engine.Shared
	observer  task.Observer
	phase     *phase

	running sync.WaitGroup
	began   atomic.Bool // start was called, and there are stores
}

// newGlobals makes the global stores of a topology, which are not open yet.
func newGlobals(g *graph.Graph) *globals {
	out := &globals{}
	for _, each := range g.Globals {
		out.all = append(out.all, &globalStore{globals: out, global: each, ready: make(chan struct{}), at: map[int32]globalPosition{}})
	}
	return out
}

// start opens the stores and reads their topics. It returns when each store has all
// records that its topic had at the start, or when the run begins to close.
func (g *globals) start() error {
	if err := g.removeOthers(); err != nil {
		return err
	}
	if len(g.all) == 0 {
		return nil
	}
	g.began.Store(true)
	g.phase.report()
	for _, s := range g.all {
		g.running.Go(s.run)
	}
	for _, s := range g.all {
		select {
		case <-s.ready:
		case <-g.soft.Done():
			return nil
		case <-g.failed:
			return nil
		}
	}
	return nil
}

// complete reports whether start has returned because all stores are.
func (g *globals) complete() bool { return g.reading() == 0 }

// removeOthers removes the databases of global stores that the topology does not have, or
// that it would misread.
func (g *globals) removeOthers() error {
	dirs, err := g.dir.GlobalDirs()
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, s := range g.all {
		wanted[global.Fingerprint(s.global)] = true
	}
	for _, dir := range dirs {
		if wanted[dir] {
			continue
		}
		g.log.Info("removing the state of a global store", "directory", dir, "reason", "the topology no longer has this store with this topic and these serdes")
		if err := g.dir.DestroyGlobal(dir); err != nil {
			g.log.Warn("could not remove the state of a global store", "directory", dir, "error", err)
		}
	}
	return nil
}

// rows returns the readers of the stores, by name. Call it after start.
func (g *globals) rows() map[string]*engine.Reader {
	rows := make(map[string]*engine.Reader, len(g.all))
	for _, s := range g.all {
		rows[s.name()] = s.reader()
	}
	return rows
}

// named returns the store with a name, or nil.
func (g *globals) named(name string) *globalStore {
	for _, s := range g.all {
		if s.name() == name {
			return s
		}
	}
	return nil
}

// reading returns how many stores have not reached the end of their topics yet.
func (g *globals) reading() (n int) {
	for _, s := range g.all {
		if !s.isReady() {
			n++
		}
	}
	return n
}

// close closes the databases. The workers must have ended before.
func (g *globals) close() {
	g.running.Wait()
	for _, s := range g.all {
		if db := s.database(); db != nil {
			if err := db.Close(); err != nil {
				g.log.Warn("could not close the database of a global store; the topic is read again if it is too old", "store", s.name(), "error", err)
			}
		}
	}
}

// Global returns the database of a global store, for a query to take a snapshot. It is an
// error if the store has not reached the end of its topic yet.
func (r *Run) Global(store string) (*engine.DB, error) {
	s := r.globals.named(store)
	if s == nil || !s.isReady() {
		return nil, errors.New("its topic is being read for the first time")
	}
	return s.database(), nil
}

// GlobalStatus is one global store of a Status.
type GlobalStatus struct {
	Store, Topic string
	// Reading is set until the store has reached the end that its topic had at the start.
	Reading    bool
	Partitions []GlobalPartition // in order
}

// GlobalPartition is one partition of a global store's topic.
type GlobalPartition struct {
	Partition     int32
	Position, End int64
}

// Globals returns what the global stores are doing. It may be called at any time.
func (r *Run) Globals() []GlobalStatus {
	var all []GlobalStatus
	for _, s := range r.globals.all {
		all = append(all, s.status())
	}
	return all
}

// ReadingGlobals returns how many global stores the process has, and how many of
// them have not reached the end of their topics yet.
func (r *Run) ReadingGlobals() (all, reading int) {
	return len(r.globals.all), r.globals.reading()
}

// wrap names the store.
func (s *globalStore) wrap(err error) error {
	return fmt.Errorf("global store %s: %w", s.name(), err)
}
