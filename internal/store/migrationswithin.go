package store

import (
	"errors"
	"reflect"

	"github.com/millrace-streams/millrace/serde"
)

// Container describes values of a store that contain values of a type V, boxed.
type Container[C any] struct {
	// Serde returns the serde of containers for one of the values in them.
	Serde func(values serde.Serde[any]) serde.Serde[C]
	// Convert returns the container with all values in it converted.
	Convert func(c C, f func(value any) (any, error)) (C, error)
	// Finish completes a container whose values are of type V now.
	Finish func(c C) (C, error)
}

// MigrationsWithin returns the migrations of containers from those of the values in them.
// The values have the serde newest now.
func MigrationsWithin[V, C any](m *Migrations, newest serde.Serde[V], of Container[C]) *Migrations {
	if m == nil {
		return nil
	}
	out := m.clone()
	out.of = reflect.TypeFor[V]()
	for i, step := range m.steps {
		if step.wrong == nil {
			out.steps[i] = within(step, of, i == len(m.steps)-1, newest)
		}
	}
	return out
}

func within[V, C any](step Migration, of Container[C], last bool, newest serde.Serde[V]) Migration {
	containers := of.Serde(valuesBefore{step})
	optional, _ := newest.(serde.Optional[V])
	convert := func(value any) (any, error) {
		value, err := step.convert(value)
		if err == nil && last && optional != nil {
			if v, _ := value.(V); optional.Absent(v) {
				err = errAbsent
			}
		}
		return value, err
	}
	return Migration{
		serde: containers, old: step.old, new: step.new,
		decode: func(data []byte) (any, error) { return containers.Decode(data) },
		convert: func(container any) (any, error) {
			c, err := of.Convert(container.(C), convert)
			if err == nil && last {
				c, err = of.Finish(c)
			}
			return c, err
		},
	}
}

// valuesBefore is the serde of the values before a migration. It only decodes.
type valuesBefore struct{ step Migration }

// Append implements serde.Serde.
func (valuesBefore) Append([]byte, any) ([]byte, error) {
	return nil, errors.New("values of an earlier format are not written")
}

// Decode implements serde.Serde.
func (s valuesBefore) Decode(data []byte) (any, error) { return s.step.decode(data) }
func (s valuesBefore) String() string                  { return serde.Name(s.step.serde) }

// FormatName returns the name of the format of the values.
func (s valuesBefore) FormatName() string { return serde.FormatName(s.step.serde) }
