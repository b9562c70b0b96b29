package batch

import (
	"cmp"
	"reflect"
)

// descending returns a comparison of values, the larger first. It returns nil if the type
// has no natural order.
func descending[V any]() func(a, b V) int {
	t := reflect.TypeFor[V]()
	switch any(*new(V)).(type) {
	case int64:
		return func(a, b V) int { return cmp.Compare(any(b).(int64), any(a).(int64)) }
	case float64:
		return func(a, b V) int { return cmp.Compare(any(b).(float64), any(a).(float64)) }
	}
	switch k := t.Kind(); {
	case k >= reflect.Int && k <= reflect.Int64:
		return func(a, b V) int { return cmp.Compare(reflect.ValueOf(b).Int(), reflect.ValueOf(a).Int()) }
	case k >= reflect.Uint && k <= reflect.Uintptr:
		return func(a, b V) int { return cmp.Compare(reflect.ValueOf(b).Uint(), reflect.ValueOf(a).Uint()) }
	case k == reflect.Float32 || k == reflect.Float64:
		return func(a, b V) int { return cmp.Compare(reflect.ValueOf(b).Float(), reflect.ValueOf(a).Float()) }
	case k == reflect.String:
		return func(a, b V) int { return cmp.Compare(reflect.ValueOf(b).String(), reflect.ValueOf(a).String()) }
	}
	return nil
}
