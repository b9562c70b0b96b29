package store

import (
	"reflect"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/serde"
)

// Typed is a Spec with the types of its serdes. The specs of the public packages embed
// it.
type Typed[K, V any] struct {
	spec   Spec
	keys   serde.Serde[K]
	values serde.Serde[V]
}

// NewTyped returns a spec. open makes an instance; wrong, which may be nil, returns what
// is wrong beside a missing name or serde. Spec.QueryKeys is ks unless it is given.
func NewTyped[K, V any](s Spec, ks serde.Serde[K], vs serde.Serde[V], open func(*Typed[K, V], engine.Env) (engine.Store, error), wrong func(*Spec) []error) *Typed[K, V] {
	t := &Typed[K, V]{spec: s, keys: ks, values: vs}
	t.spec.Keys, t.spec.Values, t.spec.wrong = ks, vs, wrong
	if s.QueryKeys == nil && ks != nil {
		t.spec.QueryKeys = ks
	}
	t.spec.readable = func(key []byte) error { return readable(ks, key) }
	t.spec.valueType = reflect.TypeFor[V]()
	t.spec.encode = func(value any) ([]byte, error) {
		v, _ := value.(V) // it is of the type; a nil interface has none
		return vs.Append([]byte{}, v)
	}
	t.spec.absent = func(value any) bool {
		v, _ := value.(V)
		optional, ok := vs.(serde.Optional[V])
		return ok && optional.Absent(v)
	}
	t.spec.open = func(env engine.Env) (engine.Store, error) { return open(t, env) }
	return t
}

// NewUntyped returns a spec of a store that handles bytes. open makes an instance.
func NewUntyped(s Spec, open func(engine.Env) (engine.Store, error)) *Spec {
	s.open = open
	return &s
}

// Describe returns the spec without its types. It is the same pointer each time.
func (t *Typed[K, V]) Describe() *Spec { return &t.spec }

// Validate returns all that is wrong with the spec.
func (t *Typed[K, V]) Validate() error { return t.spec.Validate() }

// StoreName returns the store's name.
func (t *Typed[K, V]) StoreName() string { return t.spec.Name }

// KeySerde returns the serde of the keys.
func (t *Typed[K, V]) KeySerde() serde.Serde[K] { return t.keys }

// ValueSerde returns the serde of the values.
func (t *Typed[K, V]) ValueSerde() serde.Serde[V] { return t.values }
