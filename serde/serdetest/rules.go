package serdetest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/millrace-streams/millrace/serde"
)

// filler is a byte that encodings rarely contain, so that a changed or shared byte is
// noticed.
const filler = 0xA5

func (c contract[T]) roundTrip(v T) error {
	data, err := serde.Encode(c.serde, v)
	if err != nil {
		return fmt.Errorf("method Append: %w", err)
	}
	got, err := c.decode(data)
	if err != nil {
		return fmt.Errorf("method Decode of %x: %w", data, err)
	}
	if !c.equal(v, got) {
		return fmt.Errorf("encoded as %x, decoded as %+v", data, got)
	}
	again, err := serde.Encode(c.serde, got)
	if err != nil {
		return fmt.Errorf("method Append of the decoded value: %w", err)
	}
	if !bytes.Equal(data, again) {
		return fmt.Errorf("equal values are encoded as %x and as %x", data, again)
	}
	return nil
}

// decode passes a slice that is never nil to Decode, as the contract promises.
func (c contract[T]) decode(data []byte) (T, error) {
	return c.serde.Decode(append([]byte{}, data...))
}

func (c contract[T]) appendRules(v T) error {
	return appendRules(v, c.serde.Append)
}

// appendRules checks an append function with a nil destination, a full one, and some with
// room.
func appendRules[T any](v T, appendTo func([]byte, T) ([]byte, error)) error {
	alone, err := appendTo(nil, v)
	if err != nil {
		return fmt.Errorf("append to nil: %w", err)
	}
	want := bytes.Clone(alone)
	if err := keepsNothing(alone, want, v, appendTo); err != nil {
		return err
	}
	prefix := []byte("what dst held")
	for _, room := range []int{0, 1, len(want), 4*len(want) + 64} {
		dst := make([]byte, len(prefix), len(prefix)+room)
		copy(dst, prefix)
		out, err := appendTo(dst, v)
		if err != nil {
			return fmt.Errorf("append to a slice with room for %d bytes: %w", room, err)
		}
		if !bytes.HasPrefix(out, prefix) || !bytes.Equal(dst, prefix) {
			return fmt.Errorf("append with room for %d bytes changed what dst held: %q", room, out)
		}
		if got := out[len(prefix):]; !bytes.Equal(got, want) {
			return fmt.Errorf("append with room for %d bytes gave %x, to nil %x", room, got, want)
		}
		if err := keepsNothing(out, want, v, appendTo); err != nil {
			return err
		}
	}
	return nil
}

// keepsNothing overwrites an encoding and makes the next one. The next encoding must be
// correct, and making it must not change the overwritten one.
func keepsNothing[T any](out, want []byte, v T, appendTo func([]byte, T) ([]byte, error)) error {
	fill(out[:cap(out)])
	next, err := appendTo(nil, v)
	if err != nil {
		return fmt.Errorf("second append: %w", err)
	}
	if !bytes.Equal(next, want) {
		return fmt.Errorf("the encoding is %x after an earlier result was overwritten, before it was %x", next, want)
	}
	if !filled(out[:cap(out)]) {
		return errors.New("append wrote into the result of an earlier call")
	}
	return nil
}

func (c contract[T]) decodeRules(v T) error {
	data, err := serde.Encode(c.serde, v)
	if err != nil {
		return fmt.Errorf("method Append: %w", err)
	}
	// The filler after the data reveals writes to the spare capacity.
	whole := make([]byte, len(data)+32)
	fill(whole)
	in := whole[:copy(whole, data)]

	first, err := c.serde.Decode(in)
	if err != nil {
		return fmt.Errorf("method Decode of %x: %w", data, err)
	}
	if !bytes.Equal(in, data) || !filled(whole[len(data):]) {
		return errors.New("method Decode changed its argument or what lies behind it")
	}
	for i, other := range c.values {
		if err := c.decodesTo(other); err != nil {
			return fmt.Errorf("after it value %d: %w", i, err)
		}
	}
	if !c.equal(v, first) {
		return fmt.Errorf("the value became %+v when others were decoded", first)
	}
	fill(whole)
	if !c.equal(v, first) {
		return fmt.Errorf("the value became %+v when the data was overwritten: it aliases the data", first)
	}
	return nil
}

func (c contract[T]) decodesTo(v T) error {
	data, err := serde.Encode(c.serde, v)
	if err != nil {
		return fmt.Errorf("method Append: %w", err)
	}
	got, err := c.decode(data)
	if err != nil {
		return fmt.Errorf("method Decode of %x: %w", data, err)
	}
	if !c.equal(v, got) {
		return fmt.Errorf("encoded as %x, decoded as %+v", data, got)
	}
	return nil
}

// damaged decodes truncated encodings, an extended one, and some with one changed byte.
// Errors are expected; panics are not.
func (c contract[T]) damaged(v T) error {
	data, err := serde.Encode(c.serde, v)
	if err != nil {
		return fmt.Errorf("method Append: %w", err)
	}
	// Of a large value, only the head and the tail are damaged: formats break there, and
	// trying every byte would take quadratic time.
	const most = 64
	for n := range data {
		if n > most && n < len(data)-most {
			continue
		}
		for _, b := range []byte{0x00, 0x7f, 0x80, 0xff, data[n] ^ 1} {
			changed := bytes.Clone(data)
			changed[n] = b
			if err := c.survives(changed); err != nil {
				return err
			}
		}
		if err := c.survives(data[:n]); err != nil {
			return err
		}
	}
	return c.survives(append(bytes.Clone(data), 0))
}

func (c contract[T]) survives(data []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic on %x: %v", data, p)
		}
	}()
	v, err := c.decode(data)
	if err != nil {
		return nil
	}
	if _, err := serde.Encode(c.serde, v); err != nil {
		return fmt.Errorf("method Decode accepts %x, Append refuses the value: %w", data, err)
	}
	return nil
}

func (c contract[T]) concurrency() error {
	const goroutines, rounds = 8, 50
	errs := make([]error, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range rounds {
				// Each goroutine starts at another value, so that different values meet.
				if err := c.decodesTo(c.values[(g+i)%len(c.values)]); err != nil {
					errs[g] = fmt.Errorf("goroutine %d of %d: %w", g, goroutines, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c contract[T]) optional() error {
	o, ok := c.serde.(serde.Optional[T])
	if !ok {
		return nil
	}
	if !o.Absent(*new(T)) {
		return errors.New("the zero value does not stand for absence")
	}
	return c.each(func(v T) error {
		data, err := serde.Encode(c.serde, v)
		if err != nil {
			return fmt.Errorf("method Append: %w", err)
		}
		got, err := c.decode(data)
		if err == nil && o.Absent(got) {
			return fmt.Errorf("%x decodes to an absent value", data)
		}
		return err
	})()
}

func (c contract[T]) partitionKey(v T) error {
	p, ok := c.serde.(serde.Partitioned[T])
	if !ok {
		return nil
	}
	return appendRules(v, p.AppendPartitionKey)
}

func fill(b []byte) {
	for i := range b {
		b[i] = filler
	}
}

func filled(b []byte) bool {
	for _, x := range b {
		if x != filler {
			return false
		}
	}
	return true
}
