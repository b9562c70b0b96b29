package guard

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/registry"
	"github.com/millrace-streams/millrace/internal/store"
)

// removals returns the stores to remove: those that are named and known, and that the
// topology does not have.
func (g *Guard) removals(view registry.View) []string {
	var out []string
	for _, name := range g.cfg.Remove {
		recorded, found := view.Store(name)
		known := found && recorded.Removed.IsZero() || !found && g.cfg.Directory.Shape.Has(name)
		if known && !g.has(name) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func (g *Guard) has(store string) bool {
	return slices.ContainsFunc(g.cfg.Graph.Stores, func(s *graph.Store) bool { return s.Name == store })
}

// explainRemovals logs the effect of each name in Config.RemoveStores.
func (g *Guard) explainRemovals(view registry.View) {
	removals := g.removals(view)
	for _, name := range g.cfg.Remove {
		recorded, _ := view.Store(name)
		switch {
		case g.has(name):
			g.cfg.Logger.Warn("Config.RemoveStores names a store that the topology has; it is not removed", "store", name)
		case slices.Contains(removals, name):
			g.cfg.Logger.Info("a store will be removed when the group gives this process a task", "store", name)
		case !recorded.Removed.IsZero():
			g.cfg.Logger.Info("a store was already removed; remove its name from Config.RemoveStores", "store", name, "removed", recorded.Removed)
		default:
			g.cfg.Logger.Warn("Config.RemoveStores names a store that the application does not have", "store", name)
		}
	}
}

// remove deletes the changelogs of the stores to remove. The tombstones are written
// afterwards. After a crash in between, the stores are empty, and the next start removes
// them.
func (g *Guard) remove(ctx context.Context, view registry.View) error {
	for _, name := range g.removals(view) {
		if isFromTopic(view, name) {
			g.cfg.Logger.Warn("removed a store, as Config.RemoveStores says: its rows are removed from the disk; its topic belongs to the user and stays", "store", name)
			continue
		}
		topic := store.ChangelogTopic(g.cfg.Application, name)
		if err := g.cfg.Kafka.Delete(ctx, topic); err != nil {
			return fmt.Errorf("remove store %s: delete its changelog %s: %w: allow the application to Delete the topic, or delete it by hand", name, topic, err)
		}
		g.cfg.Logger.Warn("removed a store, as Config.RemoveStores says: its changelog is deleted, and its rows are removed from the disk", "store", name, "changelog", topic)
	}
	return nil
}

// isFromTopic reports whether a store has no changelog that belongs to the application,
// because the topic of its table serves as one.
func isFromTopic(view registry.View, name string) bool {
	recorded, _ := view.Store(name)
	return recorded.FromTopic != ""
}

// tombstones returns the records of removed stores. A directory that still has such a
// store is not refused.
func (g *Guard) tombstones(view registry.View) []registry.Record {
	var out []registry.Record
	for _, name := range g.removals(view) {
		r, found := view.Store(name)
		if !found {
			r = registry.Record{Store: name, Application: g.cfg.Application}
		}
		r.Removed = time.Now().UTC().Truncate(time.Second)
		out = append(out, r)
	}
	return out
}
