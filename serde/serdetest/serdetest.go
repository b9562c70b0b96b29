// Package serdetest checks that a serde keeps the contract of [serde.Serde]. Call [Run] from a test of every serde that you write.
package serdetest

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/millrace-streams/millrace/serde"
)

// Run checks s with the given values, at least one, as parallel subtests of t:
//
//   - each value has an encoding and decodes to an equal one, and equal values have equal encodings;
//   - Append keeps what dst held, appends the same bytes whatever dst is, and keeps neither dst nor its result;
//   - Decode changes neither its argument nor what lies behind it, and the value does not alias it, nor another decoded value;
//   - Decode does not panic on damaged data, and what it accepts has an encoding;
//   - several goroutines may use s at once (run the tests with -race);
//   - if s is [serde.Optional], the zero value is absent, and no decoded value is;
//   - if s is [serde.Partitioned], the partition key obeys the rules of Append.
//
// Values are equal if [reflect.DeepEqual] says so; see [RunEqual] for others. Values that stand for absence have no encoding and do
// not belong in values. Run changes none of them.
func Run[T any](t *testing.T, s serde.Serde[T], values ...T) {
	t.Helper()
	RunEqual(t, s, func(a, b T) bool { return reflect.DeepEqual(a, b) }, values...)
}

// RunEqual is [Run] for types whose equality is not that of [reflect.DeepEqual], for example floating-point numbers with NaN, and
// structs with a time.Time or with fields that are not encoded. The function equal is called from several goroutines.
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

// contract holds what the rules need. Rules return errors instead of calling testing.T so that a test can see broken serdes fail.
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
