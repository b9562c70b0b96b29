package conformance

import "cmp"

type (
	// aggregator folds a record into an aggregate. reducer combines two values, or the
	// aggregates of two sessions.
	aggregator func(k, v, agg any) (any, error)
	reducer    func(a, b any) (any, error)
	// joiner gets nil for null.
	joiner func(l, r any) (any, error)
)

func aggregatorOf(fn string) (aggregator, error) { return lookUp("aggregator", aggregators, fn) }
func reducerOf(fn string) (reducer, error)       { return lookUp("reducer", reducers, fn) }

// joinerOf returns the joiner of a join. That of most cases is concat.
func joinerOf(fn string) (joiner, error) { return lookUp("joiner", joiners, cmp.Or(fn, "concat")) }

func initializerOf(fn string) (func() any, error) {
	name, arg := split(fn)
	switch name {
	case "empty":
		return func() any { return "" }, nil
	case "zero":
		return func() any { return int64(0) }, nil
	case "const":
		return func() any { return arg }, nil
	case "null":
		return func() any { return nil }, nil
	}
	return nil, notYet("initializer %q", fn)
}

// joined returns a function that joins two texts with a separator. null counts as the
// text "null".
func joined(between string) func(a, b any) (any, error) {
	return func(a, b any) (any, error) { return javaText(a) + between + javaText(b), nil }
}

// arithmetic returns a function of two numbers. null counts as 0.
func arithmetic(f func(a, b int64) int64) func(a, b any) (any, error) {
	return func(a, b any) (any, error) {
		x, err := asLong(a)
		if err != nil {
			return nil, err
		}
		y, err := asLong(b)
		return f(x, y), err
	}
}

var (
	concat = joined("")
	sum    = arithmetic(func(a, b int64) int64 { return a + b })
	sub    = arithmetic(func(a, b int64) int64 { return a - b })
	larger = arithmetic(func(a, b int64) int64 { return max(a, b) })
	lesser = arithmetic(func(a, b int64) int64 { return min(a, b) })
)

// folding returns an aggregator that applies f to the aggregate and the value.
func folding(f func(a, b any) (any, error)) func(string) aggregator {
	return func(string) aggregator { return func(_, v, agg any) (any, error) { return f(agg, v) } }
}

func nullOn(x string) func(a, b any) (any, error) {
	return func(a, b any) (any, error) {
		if equals(b, x) {
			return nil, nil
		}
		return concat(a, b)
	}
}

func last(_, b any) (any, error)  { return b, nil }
func first(a, _ any) (any, error) { return a, nil }

func increment(a, _ any) (any, error) { return sum(a, int64(1)) }
func decrement(a, _ any) (any, error) { return sub(a, int64(1)) }

var aggregators = map[string]func(arg string) aggregator{
	"concat":  folding(concat),
	"plus":    folding(joined("+")),
	"minus":   folding(joined("-")),
	"tag":     func(x string) aggregator { return folding(joined(x))("") },
	"count":   folding(increment),
	"uncount": folding(decrement),
	"uncount-null-at-zero": folding(func(a, b any) (any, error) {
		n, err := decrement(a, b)
		if n == int64(0) {
			return nil, err
		}
		return n, err
	}),
	"sum":     folding(sum),
	"sub":     folding(sub),
	"max":     folding(larger),
	"last":    folding(last),
	"keep":    folding(first),
	"null-on": func(x string) aggregator { return folding(nullOn(x))("") },
	"throw-on": func(x string) aggregator {
		return func(_, v, agg any) (any, error) {
			if equals(v, x) {
				return nil, errBoom(x)
			}
			return concat(agg, v)
		}
	},
}

func reducing(f func(a, b any) (any, error)) func(string) reducer {
	return func(string) reducer { return f }
}

var reducers = map[string]func(arg string) reducer{
	"concat":  reducing(concat),
	"plus":    reducing(joined("+")),
	"minus":   reducing(joined("-")),
	"sum":     reducing(sum),
	"sub":     reducing(sub),
	"max":     reducing(larger),
	"min":     reducing(lesser),
	"first":   reducing(first),
	"last":    reducing(last),
	"null-on": func(x string) reducer { return nullOn(x) },
}

var joiners = map[string]func(arg string) joiner{
	"concat": joining(joined("+")),
	"left":   joining(first),
	"right":  joining(last),
	"sum":    joining(sum),
	"null-on": func(x string) joiner {
		return func(l, r any) (any, error) {
			if equals(l, x) || equals(r, x) {
				return nil, nil
			}
			return joined("+")(l, r)
		}
	},
}

func joining(f joiner) func(string) joiner { return func(string) joiner { return f } }
