package guard

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/registry"
)

// Inputs has the questions to the group that the guard needs.
type Inputs interface {
	// Processed returns the topics among those given of which the application has
	// processed a record.
	Processed(ctx context.Context, topics []string) ([]string, error)
	// Committed returns the topics among those given of which the group has a committed
	// offset.
	Committed(ctx context.Context, topics []string) ([]string, error)
	// Waits reports whether a repartition topic has a committed record that the
	// application has not processed. A missing topic has none.
	Waits(ctx context.Context, topic string) (bool, error)
}

// appearance is a store that the application did not have when it processed records that
// belong into it, or into which these records did not belong then.
type appearance struct {
	store  string
	inputs []string // the topics of these records
	gained bool     // the application had the store, without these inputs
}

func (a appearance) problem() error {
	if a.gained {
		return fmt.Errorf("store %s gets records of %s from now on, although the application has already processed records of these topics: its content would lack them",
			a.store, strings.Join(a.inputs, ", "))
	}
	return fmt.Errorf("store %s would start empty, although the application has already processed records of %s: its content would lack them",
		a.store, strings.Join(a.inputs, ", "))
}

// read reads the registry, and asks the group what the registry lacks.
func (g *Guard) read(ctx context.Context) (registry.View, error) {
	view, err := g.cfg.Registry.Refresh(ctx)
	if err != nil {
		return view, err
	}
	processed, err := g.askProcessed(ctx, view)
	if err != nil {
		return view, err
	}
	committed, err := g.askCommitted(ctx, view)
	if err != nil || !processed && !committed {
		return view, err
	}
	// Another process may have written records and processed others since the first read.
	// It writes to the registry before it processes.
	return g.cfg.Registry.Refresh(ctx)
}

// askProcessed asks which inputs were processed, if the topology has stores that the
// application did not have. It reports whether it has asked.
func (g *Guard) askProcessed(ctx context.Context, view registry.View) (asked bool, err error) {
	var topics []string
	for _, s := range g.added(view) {
		topics = append(topics, g.cfg.Graph.Feeding(s)...)
	}
	for _, s := range g.cfg.Graph.Stores {
		topics = append(topics, g.gains(view, s)...)
	}
	if len(topics) == 0 {
		return false, nil
	}
	slices.Sort(topics)
	if g.processed, err = g.cfg.Inputs.Processed(ctx, slices.Compact(topics)); err != nil {
		return true, fmt.Errorf("check which inputs were processed before: %w", err)
	}
	return true, nil
}

// added returns the stores of the topology that the application did not have when it last
// processed records, and whose content later results depend on. A store that is restored
// from the topic of its table lacks no records, and is not among them.
func (g *Guard) added(view registry.View) (added []*graph.Store) {
	for _, s := range g.cfg.Graph.Stores {
		if lasts(s) && s.FromTopic == nil && !g.had(view, s.Name) {
			added = append(added, s)
		}
	}
	return added
}

// lasts reports whether later results depend on the content that a store has now: it
// outlives a restart, and its records do not only wait to be sent on.
func lasts(s *graph.Store) bool {
	return (s.Spec.Logged() || s.Spec.Persistent()) && !s.Waiting
}

// had reports whether the application had a store when it last processed records. The
// state directory decides only if the registry does not: it belongs to a version without
// a registry, or the registry was deleted since.
func (g *Guard) had(view registry.View, store string) bool {
	recorded, found := view.Store(store)
	if found {
		return recorded.Removed.IsZero() && !recorded.Absent
	}
	known := g.cfg.Directory.Registry
	return (known == registry.TopicID{} || known != view.TopicID) && g.cfg.Directory.Shape.Has(store)
}

// appearing returns the added stores that would lack records, in order of name. Stores
// that may start empty are not among them.
func (g *Guard) appearing(ctx context.Context, view registry.View) (appearing []appearance, err error) {
	for _, s := range g.added(view) {
		inputs := g.missed(s)
		if len(inputs) == 0 || slices.Contains(g.cfg.StartEmpty, s.Name) {
			continue
		}
		if s.Spec.Logged() {
			changelog := s.Spec.ChangelogTopic(g.cfg.Application)
			holds, err := g.cfg.Kafka.Holds(ctx, changelog)
			if err != nil {
				return nil, fmt.Errorf("check whether changelog %s of store %s holds anything: %w", changelog, s.Name, err)
			}
			if holds {
				continue
			}
		}
		appearing = append(appearing, appearance{store: s.Name, inputs: inputs})
	}
	for _, s := range g.cfg.Graph.Stores {
		if inputs := g.lacking(view, s); len(inputs) > 0 && !slices.Contains(g.cfg.StartEmpty, s.Name) {
			appearing = append(appearing, appearance{store: s.Name, inputs: inputs, gained: true})
		}
	}
	slices.SortFunc(appearing, func(a, b appearance) int { return strings.Compare(a.store, b.store) })
	return appearing, nil
}

// missed returns the inputs whose processed records belong into an added store.
func (g *Guard) missed(s *graph.Store) []string {
	return g.processedOf(g.cfg.Graph.Feeding(s))
}

// processedOf returns the topics of which records were processed.
func (g *Guard) processedOf(topics []string) []string {
	return slices.DeleteFunc(topics, func(topic string) bool { return !slices.Contains(g.processed, topic) })
}

// explainEmpty logs the effect of each name in Config.StartEmpty.
func (g *Guard) explainEmpty(view registry.View) {
	for _, name := range g.cfg.StartEmpty {
		i := slices.IndexFunc(g.cfg.Graph.Stores, func(s *graph.Store) bool { return s.Name == name })
		if i < 0 {
			g.cfg.Logger.Warn("Config.StartEmpty names a store that the topology does not have", "store", name)
			continue
		}
		switch lacking := g.lacking(view, g.cfg.Graph.Stores[i]); {
		case len(lacking) > 0:
			g.cfg.Logger.Info("a store gets records of further topics without the earlier ones, as Config.StartEmpty says", "store", name, "without_earlier_records_of", lacking)
		case g.had(view, name):
			g.cfg.Logger.Info("the application already has a store; remove its name from Config.StartEmpty", "store", name)
		default:
			g.cfg.Logger.Info("a new store starts empty, as Config.StartEmpty says", "store", name, "without_earlier_records_of", g.missed(g.cfg.Graph.Stores[i]))
		}
	}
}

// absences returns the records of stores that the topology does not have, with the note
// that the application now runs without them. Such a store is empty; if it comes back, it
// lacks the records that are processed meanwhile.
func (g *Guard) absences(view registry.View) (absent []registry.Record) {
	removed := g.removals(view)
	for _, r := range view.Stores() {
		if r.Kind == registry.Times || r.Newer || r.Absent || !r.Removed.IsZero() || g.has(r.Store) || slices.Contains(removed, r.Store) {
			continue
		}
		r.Absent = true
		absent = append(absent, r)
	}
	return absent
}
