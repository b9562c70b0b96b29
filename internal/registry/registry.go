package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/restore"
)

// TopicName returns the name of an application's registry.
func TopicName(application string) string { return graph.RegistryTopic(application) }

// Config of a Registry.
type Config struct {
	Application string
	Opts        []kgo.Opt // the user's client options

	// Restorer reads the topic.
	Restorer *restore.Restorer
	// Ensure creates the topic if it is missing, and returns its ID.
	Ensure func(context.Context) (TopicID, error)

	Logger *slog.Logger
}

// Registry is an application's registry as this process has read it. Only one goroutine
// may use it at a time.
type Registry struct {
	cfg      Config
	topic    string
	view     View
	position int64 // offset to read next
}

// New makes a Registry. Nothing has been read yet.
func New(cfg Config) *Registry {
	return &Registry{cfg: cfg, topic: TopicName(cfg.Application)}
}

// Topic returns the name of the topic.
func (r *Registry) Topic() string { return r.topic }

// View returns the content after the last read.
func (r *Registry) View() View { return r.view }

// Refresh reads the records since the last Refresh, to the end of the topic. It waits for
// an open transaction. If the topic is missing, it creates it. If the topic was deleted
// meanwhile, Refresh logs that and starts with the content of the new one.
func (r *Registry) Refresh(ctx context.Context) (View, error) {
	id, err := r.cfg.Ensure(ctx)
	if err != nil {
		return r.view, err
	}
	if had := r.view.TopicID; had != id {
		if had != (TopicID{}) {
			r.cfg.Logger.Warn("the registry of the stores was deleted while the application ran; it is created again from the topology", "topic", r.topic)
		}
		r.view, r.position = View{TopicID: id}, -1
	}
	view, next, err := read(ctx, r.cfg.Restorer, r.topic, r.view, r.position)
	if err != nil {
		return r.view, err
	}
	r.view, r.position = view, next
	return view, nil
}

// ErrDamaged is in the chain of the error that Refresh returns if the topic has a record
// that is not the registry's.
var ErrDamaged = errors.New("it is not a record of the registry")

// read adds the content of the topic from an offset on to a view, and returns the end
// offset.
func read(ctx context.Context, from *restore.Restorer, topic string, view View, position int64) (View, int64, error) {
	view.stores, view.repartitions = maps.Clone(view.stores), maps.Clone(view.repartitions)
	if view.stores == nil {
		view.stores, view.repartitions = map[string]Record{}, map[string]Repartition{}
	}
	sink := func(_ int, records []*kgo.Record, _ int64) error {
		for _, record := range records {
			if err := view.apply(record); err != nil {
				return fmt.Errorf("offset %d: key %q: %w: %w: if another program wrote the record, write an empty value under its key; otherwise restore the record", record.Offset, record.Key, ErrDamaged, err)
			}
		}
		return nil
	}
	end := position
	done := func(_ int, next int64, _ error) { end = next }
	part := restore.Partition{Topic: topic, From: position, TopicID: view.TopicID}
	err := from.Restore(ctx, []restore.Partition{part}, sink, done, nil)
	if errors.Is(err, restore.ErrOutOfRange) && position >= 0 {
		// Records before position were deleted by hand.
		return read(ctx, from, topic, View{TopicID: view.TopicID}, -1)
	}
	if err != nil {
		return view, position, fmt.Errorf("read the registry of the stores in topic %s: %w", topic, err)
	}
	return view, end, nil
}

// apply changes a view that nobody else uses yet.
func (v View) apply(record *kgo.Record) error {
	if len(record.Value) == 0 {
		delete(v.stores, nameIn(record.Key, storePrefix))
		delete(v.repartitions, nameIn(record.Key, repartitionPrefix))
		return nil
	}
	e, err := decode(record.Key, record.Value)
	switch {
	case err != nil:
		return err
	case e.store != nil:
		v.stores[e.store.Store] = *e.store
	case e.repartition != nil:
		v.repartitions[e.repartition.Topic] = *e.repartition
	}
	return nil
}
