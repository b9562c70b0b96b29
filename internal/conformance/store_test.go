package conformance

import (
	"fmt"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/sessionstore"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topologytest"
	"github.com/millrace-streams/millrace/versionedstore"
	"github.com/millrace-streams/millrace/windowstore"
)

// store is a store that a case adds for its processors.
type store struct {
	name         string
	keys, values *dynamic
	spec         processor.StoreSpec
	reader       storeReader

	// open returns the store for a handler, as a keyValue or a windows.
	open func(processor.Context[any, any]) any
}

type (
	keyValue = state.KeyValueStore[any, any]
	windows  = windowstore.Store[any, any]
	sessions = sessionstore.Store[any, any]
	versions = versionedstore.Store[any, any]
)

// newStore reads an addStore or store operation. cached reports whether the case has a
// record cache.
func newStore(o op, cached bool) (*store, error) {
	if err := o.knows("type name key value inMemory retention windowSize retainDuplicates segment lru logging caching processors"); err != nil {
		return nil, err
	}
	s := &store{name: o.text("name")}
	var err error
	if s.keys, err = serdeOr(o.text("key"), basicSerdes["string"]); err != nil {
		return nil, err
	}
	if s.values, err = serdeOr(o.text("value"), basicSerdes["string"]); err != nil {
		return nil, err
	}
	// The puts of a record are merged only by a store with caching, and only if there is
	// a cache.
	every := !cached || !o.flag("caching")
	switch o.text("type") {
	case "kv", "timestamped-kv":
		s.addKeyValue(o, every)
	case "window", "timestamped-window":
		s.addWindows(o, every)
	case "session":
		s.addSessions(o, every)
	case "versioned":
		s.addVersions(o, every)
	default:
		return nil, notYet("%s store", o.text("type"))
	}
	return s, nil
}

func serdeOr(name string, otherwise *dynamic) (*dynamic, error) {
	if name == "" {
		return otherwise, nil
	}
	return serdeOf(name)
}

// optionsOf returns those of the options of a store that its operation asks for.
func optionsOf[O any](o op, every bool, inMemory, withoutChangelog, everyUpdate O) (opts []O) {
	for _, option := range []struct {
		asked bool
		opt   O
	}{{o.flag("inMemory"), inMemory}, {o.isOff("logging"), withoutChangelog}, {every, everyUpdate}} {
		if option.asked {
			opts = append(opts, option.opt)
		}
	}
	return opts
}

func (s *store) addKeyValue(o op, every bool) {
	opts := optionsOf(o, every, state.InMemory(), state.WithoutChangelog(), state.EveryUpdate())
	if o.has("lru") {
		opts = append(opts, state.MostRows(int(o.ms("lru"))))
	}
	spec := state.KeyValue[any, any](s.name, s.keys, s.values, opts...)
	s.spec, s.reader = spec, keyValueReader[any, any](s.name, s.keys, s.values)
	s.open = func(ctx processor.Context[any, any]) any { return state.Open(ctx, spec) }
}

func (s *store) addWindows(o op, every bool) {
	opts := optionsOf(o, every, windowstore.InMemory(), windowstore.WithoutChangelog(), windowstore.EveryUpdate())
	if o.flag("retainDuplicates") {
		opts = append(opts, windowstore.RetainDuplicates())
	}
	spec := windowstore.New[any, any](s.name, s.keys, s.values, o.duration("windowSize"), o.duration("retention"), opts...)
	s.spec, s.reader = spec, windowReader[any](s.name, s.keys, s.values)
	s.open = func(ctx processor.Context[any, any]) any { return windowstore.Open(ctx, spec) }
}

func (s *store) addSessions(o op, every bool) {
	opts := optionsOf(o, every, sessionstore.InMemory(), sessionstore.WithoutChangelog(), sessionstore.EveryUpdate())
	spec := sessionstore.New[any, any](s.name, s.keys, s.values, o.duration("retention"), opts...)
	s.spec, s.reader = spec, sessionReader[any](s.name, s.keys, s.values)
	s.open = func(ctx processor.Context[any, any]) any { return sessionstore.Open(ctx, spec) }
}

// addVersions adds a versioned store. The corpus does not list its content.
func (s *store) addVersions(o op, every bool) {
	opts := optionsOf(o, every, versionedstore.InMemory(), versionedstore.WithoutChangelog(), versionedstore.EveryUpdate())
	spec := versionedstore.New[any, any](s.name, s.keys, s.values, o.duration("retention"), opts...)
	none := func(*topologytest.Driver) ([]row, error) { return nil, nil }
	s.spec, s.reader = spec, storeReader{s.name, s.keys, s.values, none}
	s.open = func(ctx processor.Context[any, any]) any { return versionedstore.Open(ctx, spec) }
}

// openStore opens a handler's first store at its first use. As in Java, using a store
// that is not attached is an error of the record.
func openStore[S any](h *handler) (S, error) {
	var none S
	if len(h.stores) == 0 {
		return none, fmt.Errorf("the processor has no store")
	}
	s := h.stores[0]
	if s.open == nil {
		return none, fmt.Errorf("%w store %s", errUnknown, s.name)
	}
	if h.opened[s.name] == nil {
		if h.opened == nil {
			h.opened = map[string]any{}
		}
		h.opened[s.name] = s.open(h.ctx)
	}
	typed, ok := h.opened[s.name].(S)
	if !ok {
		return none, fmt.Errorf("store %s is a %T", s.name, h.opened[s.name])
	}
	return typed, nil
}

func (h *handler) keyValue() (keyValue, error) { return openStore[keyValue](h) }
