// Package serdetest checks that a serde keeps the contract of [serde.Serde]. Every custom
// serde should have a test that calls [Run].
package serdetest

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/millrace-streams/millrace/serde"
)

// Run checks s with the given values, of which there must be at least one. Each rule is a
// parallel subtest of t:
//
//   - Each value has an encoding, and the encoding decodes to an equal value. Equal
//     values have equal encodings.
//   - Append keeps the content of dst, appends the same bytes to any dst, and keeps a
//     reference neither to dst nor to its result.
//   - Decode changes neither its argument nor the bytes after it. The value does not
//     alias the argument or another decoded value.
//   - Decode does not panic on damaged data. If it accepts damaged data, the value has an
//     encoding.
//   - Several goroutines may use s at once (run the tests with -race).
//   - If s is [serde.Optional], the zero value is absent, and no decoded value is.
//   - If s is [serde.Partitioned], the partition key obeys the rules of Append.
//
// Values are compared with [reflect.DeepEqual]; [RunEqual] takes another function. values
// must not contain values that stand for absence, because they have no encoding. Run does
// not change the values.
func Run[T any](t *testing.T, s serde.Serde[T], values ...T) {
	t.Helper()
	RunEqual(t, s, func(a, b T) bool { return reflect.DeepEqual(a, b) }, values...)
}

// RunEqual is [Run] for types that [reflect.DeepEqual] does not compare correctly.
// Examples are floating-point numbers with NaN, and structs with a time.Time or with
// fields that are not encoded. The function equal is called from several goroutines.
func RunEqual[T any](t *testing.T, s serde.Serde[T], equal func(a, b T) bool, values ...T) {
	t.Helper()
	if len(values) == 0 {
		t.Fatal("serdetest: give at least one value")
	}
	c := contract[T]{serde: s, equal: equal, values: values}
	for _, rule := range c.rules() {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			if err := rule.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// contract holds the inputs of the rules. The rules return errors and do not call
// testing.T, so that a test can check that broken serdes fail.
type contract[T any] struct {
	serde  serde.Serde[T]
	equal  func(a, b T) bool
	values []T
}

type rule struct {
	name  string
	check func() error
}

func (c contract[T]) rules() []rule {
	return []rule{
		{"round trip", c.each(c.roundTrip)},
		{"append", c.each(c.appendRules)},
		{"decode", c.each(c.decodeRules)},
		{"damaged data", c.each(c.damaged)},
		{"concurrency", c.concurrency},
		{"optional", c.optional},
		{"partition key", c.each(c.partitionKey)},
	}
}

func (c contract[T]) each(check func(v T) error) func() error {
	return func() error {
		for i, v := range c.values {
			if err := check(v); err != nil {
				return fmt.Errorf("value %d (%+v): %w", i, v, err)
			}
		}
		return nil
	}
}
