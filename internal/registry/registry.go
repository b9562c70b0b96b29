package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/registrytopic"
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
	cfg    Config
	topic  string
	view   View
	reader registrytopic.Reader // after the records of view
}

// New makes a Registry. Nothing has been read yet.
func New(cfg Config) *Registry {
	topic := TopicName(cfg.Application)
	return &Registry{cfg: cfg, topic: topic, reader: registrytopic.NewReader(topic, TopicID{})}
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
		r.view, r.reader = View{TopicID: id}, registrytopic.NewReader(r.topic, id)
	}
	view, next, err := read(ctx, r.cfg.Restorer, r.topic, r.view, r.reader)
	if err != nil {
		return r.view, err
	}
	r.view, r.reader = view, next
	return view, nil
}

// ErrDamaged is in the chain of the error that Refresh returns if the topic has a record
// that is not the registry's.
var ErrDamaged = errors.New("it is not a record of the registry")

// read adds the records since a reader's last read to a view. It returns the new view,
// and the reader for the next call. The arguments stay unchanged.
func read(ctx context.Context, from *restore.Restorer, topic string, view View, reader registrytopic.Reader) (View, registrytopic.Reader, error) {
	next := view.clone()
	reset := func() { next = View{TopicID: view.TopicID}.clone() }
	apply := func(records []*kgo.Record) error {
		return registrytopic.Each(records, func(key, value []byte) error { return next.apply(key, value) })
	}
	if err := reader.Read(ctx, from, reset, apply); err != nil {
		return view, reader, fmt.Errorf("read the registry of the stores in topic %s: %w", topic, err)
	}
	return next, reader, nil
}

// clone returns a copy that apply may change.
func (v View) clone() View {
	v.stores, v.repartitions, v.swept, v.firsts = maps.Clone(v.stores), maps.Clone(v.repartitions), maps.Clone(v.swept), maps.Clone(v.firsts)
	if v.stores == nil {
		v.stores, v.repartitions, v.swept, v.firsts = map[string]Record{}, map[string]Repartition{}, map[sweptKey]Swept{}, map[string]FirstTopics{}
	}
	return v
}

// apply applies a record to a view that nobody else uses yet.
func (v View) apply(key, value []byte) error {
	if len(value) == 0 {
		if name, ok := registrytopic.Store.Name(key); ok {
			delete(v.stores, name)
		}
		if topic, ok := registrytopic.Repartition.Name(key); ok {
			delete(v.repartitions, topic)
		}
		if swept, ok := parseSweptKey(key); ok {
			delete(v.swept, swept)
		}
		if source, ok := registrytopic.Pattern.Name(key); ok {
			delete(v.firsts, source)
		}
		return nil
	}
	e, err := decode(key, value)
	switch {
	case err != nil:
		return fmt.Errorf("key %q: %w: %w: if another program wrote the record, write an empty value under its key; otherwise restore the record", key, ErrDamaged, err)
	case e.store != nil:
		v.stores[e.store.Store] = *e.store
	case e.repartition != nil:
		v.repartitions[e.repartition.Topic] = *e.repartition
	case e.swept != nil:
		v.swept[e.swept.key()] = *e.swept
	case e.first != nil:
		v.firsts[e.first.Source] = *e.first
	}
	return nil
}
