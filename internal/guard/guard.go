package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/registry"
	"github.com/millrace-streams/millrace/internal/store"
)

// Kafka has the operations on topics that the guard needs.
type Kafka interface {
	// Holds reports whether a topic holds a committed record. A missing topic does not.
	Holds(ctx context.Context, topic string) (bool, error)
	// Exist returns the IDs of those topics that exist and that the application may see.
	Exist(ctx context.Context, topics []string) (map[string]registry.TopicID, error)
	// Delete deletes a topic, and returns when it is gone. A missing topic counts as
	// gone.
	Delete(ctx context.Context, topic string) error
}

// Disk has the questions to the state directory that the guard needs.
type Disk interface {
	// HoldsUnlogged reports whether a database has a row of a store that never had the
	// changelog. It is asked while no database is open.
	HoldsUnlogged(store, changelog string) (bool, error)
}

// Directory is the information of the previous run in the state directory.
type Directory struct {
	Shape graph.Shape
	// Registry is the ID that the registry's topic had, zero if there was none.
	Registry registry.TopicID
}

// Config of a Guard.
type Config struct {
	Application string
	Graph       *graph.Graph
	Topics      registry.Topics // what is known of the topics
	Matched     []string        // topics that matched when the process was started
	Directory   Directory
	Remove      []string // names of stores, Config.RemoveStores
	StartEmpty  []string // names of stores, Config.StartEmpty
	Reset       string   // how to reset the application

	Registry *registry.Registry
	Kafka    Kafka
	Inputs   Inputs
	Disk     Disk
	Logger   *slog.Logger
}

// Guard guards the state of one application in one process. Only one goroutine may use it
// at a time.
type Guard struct {
	cfg Config

	// unlogged has the answers of the disk during Check. Enrol asks nothing more, because
	// the databases are then open. A store about which Check did not ask fits the disk.
	unlogged map[string]bool

	// processed are the inputs of which the application had processed records when the
	// registry was last read. It is known only for inputs of stores that were new then.
	processed []string
	// committed are the topics with a committed offset at that time, among those of
	// sources whose first topics were not recorded then.
	committed []string
}

// New makes a Guard.
func New(cfg Config) *Guard { return &Guard{cfg: cfg, unlogged: map[string]bool{}} }

// Error says that the topology does not fit the state.
type Error struct {
	Stores []string // that do not fit, in order of name
	text   error
}

func (e *Error) Error() string { return e.text.Error() }
func (e *Error) Unwrap() error { return e.text }

// Check reads the registry, and returns an *Error if the topology does not fit the state,
// or a *registry.RivalError if the application shares a topic with another one.
func (g *Guard) Check(ctx context.Context) error {
	view, err := g.read(ctx)
	if err != nil {
		return err
	}
	if err := g.cfg.Registry.Rival(ctx, g.internalTopics(view), g.cfg.Kafka.Exist); err != nil {
		return err
	}
	if err := g.askDisk(view); err != nil {
		return err
	}
	if err := g.judge(ctx, view); err != nil {
		return err
	}
	g.explainRemovals(view)
	g.explainEmpty(view)
	return g.adopt(ctx, view)
}

// internalTopics returns the topics that belong to the application: those that it has,
// and the changelogs that it will delete.
func (g *Guard) internalTopics(view registry.View) []string {
	stores, repartitions := g.now()
	var names []string
	for _, s := range stores {
		if s.Changelog != "" {
			names = append(names, s.Changelog)
		}
	}
	for _, r := range repartitions {
		names = append(names, r.Topic)
	}
	for _, name := range g.removals(view) {
		if !isFromTopic(view, name) {
			names = append(names, store.ChangelogTopic(g.cfg.Application, name))
		}
	}
	return names
}

func (g *Guard) now() ([]registry.Record, []registry.Repartition) {
	return registry.Describe(g.cfg.Application, g.cfg.Graph, g.cfg.Topics)
}

// judge returns an *Error for the stores that count and do not fit, for those that would
// lack records, and for repartition topics whose records would be misread.
func (g *Guard) judge(ctx context.Context, view registry.View) error {
	var binding []registry.Misfit
	for _, m := range g.misfits(view) {
		if m.Gone && slices.Contains(g.cfg.Remove, m.Store) {
			continue
		}
		binds, err := g.binds(ctx, m)
		if err != nil {
			return fmt.Errorf("check whether changelog %s of store %s holds anything: %w", m.Changelog, m.Store, err)
		}
		if binds {
			binding = append(binding, m)
		}
	}
	appearing, err := g.appearing(ctx, view)
	if err != nil {
		return err
	}
	misreadings, err := g.misreadings(ctx, view)
	if err != nil {
		return err
	}
	return g.refuse(binding, appearing, misreadings)
}

// misfits returns the stores that do not fit the registry or, if it has no record of
// them, the state directory.
func (g *Guard) misfits(view registry.View) []registry.Misfit {
	now, _ := g.now()
	misfits := view.Misfits(now)
	for _, m := range g.cfg.Graph.Shape().Misfits(g.cfg.Directory.Shape) {
		recorded, found := view.Store(m.Store)
		if found && (recorded.Changelog != "" || recorded.FromTopic != "" || !recorded.Removed.IsZero()) {
			continue
		}
		if slices.ContainsFunc(misfits, func(other registry.Misfit) bool { return other.Store == m.Store }) {
			continue
		}
		misfit := registry.Misfit{Store: m.Store, Gone: m.Gone, Err: m.Err}
		if !found {
			misfit.Changelog = store.ChangelogTopic(g.cfg.Application, m.Store)
		}
		misfits = append(misfits, misfit)
	}
	slices.SortFunc(misfits, func(a, b registry.Misfit) int { return cmp.Compare(a.Store, b.Store) })
	return misfits
}

// binds reports whether the store holds something.
func (g *Guard) binds(ctx context.Context, m registry.Misfit) (bool, error) {
	if m.Changelog != "" {
		if holds, err := g.cfg.Kafka.Holds(ctx, m.Changelog); err != nil || holds {
			return holds, err
		}
	}
	return g.unlogged[m.Store], nil
}

// askDisk finds the stores that do not fit and have rows on this disk only.
func (g *Guard) askDisk(view registry.View) error {
	for _, m := range g.misfits(view) {
		holds, err := g.cfg.Disk.HoldsUnlogged(m.Store, store.ChangelogTopic(g.cfg.Application, m.Store))
		if err != nil {
			return err
		}
		g.unlogged[m.Store] = holds
	}
	return nil
}

func (g *Guard) refuse(misfits []registry.Misfit, appearing []appearance, misreadings []registry.Misreading) error {
	if len(misfits)+len(appearing)+len(misreadings) == 0 {
		return nil
	}
	e := &Error{}
	for _, m := range misfits {
		e.Stores = append(e.Stores, m.Store)
	}
	for _, a := range appearing {
		e.Stores = append(e.Stores, a.store)
	}
	slices.Sort(e.Stores)
	problems, advice := explain(misfits, appearing, misreadings)
	e.text = fmt.Errorf("the topology does not fit the state that this application has:\n%w\n%s; or give the application a new ID; or %s",
		errors.Join(problems...), advice, g.cfg.Reset)
	return e
}

// Enrol compares again, removes the stores to be removed, and records what the state
// means. It is called when the group has given this process a task, before the task runs.
// It returns the registry as it is afterwards.
func (g *Guard) Enrol(ctx context.Context) (registry.View, error) {
	view, err := g.read(ctx)
	if err != nil {
		return view, err
	}
	if err := g.judge(ctx, view); err != nil {
		return view, err
	}
	if err := g.remove(ctx, view); err != nil {
		return view, err
	}
	var before registry.View
	var written registry.Changes
	view, err = g.cfg.Registry.Update(ctx, func(view registry.View) (registry.Changes, error) {
		if err := g.judge(ctx, view); err != nil {
			return registry.Changes{}, err
		}
		stores, repartitions := g.now()
		g.keepFed(stores, view)
		before, written = view, view.Missing(stores, repartitions)
		written.Stores = slices.Concat(written.Stores, g.tombstones(view), g.absences(view))
		var err error
		written.FirstTopics, err = g.firstTopics(view)
		return written, err
	})
	if err != nil {
		return view, err
	}
	return view, g.withdraw(ctx, before, written)
}

// withdraw takes the write back if another application has meanwhile recorded a topic as
// its own. Both applications write before they look, so at least one of them sees the
// other.
func (g *Guard) withdraw(ctx context.Context, before registry.View, written registry.Changes) error {
	if written.Empty() {
		return nil
	}
	rival := g.cfg.Registry.Rival(ctx, g.internalTopics(before), g.cfg.Kafka.Exist)
	if !errors.As(rival, new(*registry.RivalError)) {
		return rival
	}
	_, err := g.cfg.Registry.Update(ctx, func(registry.View) (registry.Changes, error) { return written.Undo(before), nil })
	return errors.Join(rival, err)
}

// adopt logs what is recorded without a comparison: stores that hold something although
// neither the registry nor the directory knows them.
func (g *Guard) adopt(ctx context.Context, view registry.View) error {
	unknown := g.unrecorded(view)
	if id := g.cfg.Directory.Registry; id != (registry.TopicID{}) && id != view.TopicID && len(unknown) > 0 {
		g.cfg.Logger.Warn("the registry of the stores was deleted since this process last ran; it is created again from the topology", "topic", g.cfg.Registry.Topic())
	}
	unknown = slices.DeleteFunc(unknown, func(r registry.Record) bool { return g.cfg.Directory.Shape.Has(r.Store) })
	var topics []string
	for _, r := range unknown {
		topics = append(topics, r.Changelog)
	}
	if len(topics) == 0 {
		return nil
	}
	existing, err := g.cfg.Kafka.Exist(ctx, topics)
	if err != nil {
		return err
	}
	var adopted []string
	for _, r := range unknown {
		if _, exists := existing[r.Changelog]; !exists {
			continue
		}
		holds, err := g.cfg.Kafka.Holds(ctx, r.Changelog)
		if err != nil {
			return err
		}
		if holds {
			adopted = append(adopted, r.Store)
		}
	}
	if len(adopted) > 0 {
		g.cfg.Logger.Warn("stores hold rows without a record of their meaning; their present description is recorded without a comparison",
			"stores", adopted, "topic", g.cfg.Registry.Topic())
	}
	return nil
}

// unrecorded returns the stores with a changelog that were never in the registry.
func (g *Guard) unrecorded(view registry.View) []registry.Record {
	stores, _ := g.now()
	return slices.DeleteFunc(stores, func(r registry.Record) bool {
		_, found := view.Store(r.Store)
		return found || r.Changelog == ""
	})
}
