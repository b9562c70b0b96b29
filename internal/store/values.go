package store

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/serde"
)

// appendValue appends the encoding of a value. An error, or a panic of the serde, is an
// engine.EncodeError that names the record which made the value.
func appendValue[V any](s *Spec, values serde.Serde[V], dst []byte, value V, origin engine.Origin) (data []byte, err error) {
	defer func() {
		if err != nil {
			err = &engine.EncodeError{Store: s.Name, Origin: origin, Err: err}
		}
	}()
	defer engine.Guard(&err)
	return values.Append(dst, value)
}

// decodeValue returns the value of an encoding. A panic of the serde is an error.
func decodeValue[V any](s *Spec, values serde.Serde[V], data []byte) (value V, err error) {
	defer func() {
		if err != nil {
			err = s.wrap(fmt.Errorf("decode a value: %w", err))
		}
	}()
	defer engine.Guard(&err)
	return values.Decode(data)
}

// wrap names the store in an error.
func (s *Spec) wrap(err error) error { return fmt.Errorf("%s: %w", s, err) }
