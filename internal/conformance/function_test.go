package conformance

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
)

// The corpus writes functions as "name" or "name:arg". Each table below has one kind of
// functions. A function that is not in its table is notYet. A function that throws in
// Java returns an error.

type (
	// predicate, mapper and the others get nil for null.
	predicate func(k, v any) (bool, error)
	mapper    func(k, v any) (any, error)
	flat      func(k, v any) ([]any, error)
	pairs     func(k, v any) ([]pair, error)

	pair struct{ k, v any }
)

// errBoom is the error of the functions throw-on:x.
func errBoom(x string) error { return errors.New("boom on " + x) }

// equals compares the text of v, as the corpus's functions do.
func equals(v any, x string) bool { return v != nil && javaText(v) == x }

func split(fn string) (name, arg string) {
	name, arg, _ = strings.Cut(fn, ":")
	return name, arg
}

// lookUp returns the function for "name:arg" from a table.
func lookUp[F any](kind string, table map[string]func(arg string) F, fn string) (F, error) {
	name, arg := split(fn)
	if f := table[name]; f != nil {
		return f(arg), nil
	}
	var none F
	return none, notYet("%s %q", kind, fn)
}

func predicateOf(fn string) (predicate, error) { return lookUp("predicate", predicates, fn) }
func valueMapperOf(fn string) (mapper, error)  { return lookUp("value mapper", valueMappers, fn) }
func keyMapperOf(fn string) (mapper, error)    { return lookUp("key mapper", keyMappers, fn) }
func pairMapperOf(fn string) (pairs, error)    { return lookUp("key-value mapper", pairMappers, fn) }
func flatPairsOf(fn string) (pairs, error)     { return lookUp("flat key-value mapper", flatPairs, fn) }
func flatOf(fn string) (flat, error)           { return lookUp("flat value mapper", flatMappers, fn) }

// usesKey reports whether a value mapper reads the key.
func usesKey(fn string) bool {
	name, _ := split(fn)
	return name == "with-key" || name == "key-and-value"
}

// when returns a predicate on the value. It is false for null.
func when(f func(v any, arg string) bool) func(string) predicate {
	return func(arg string) predicate {
		return func(_, v any) (bool, error) { return v != nil && f(v, arg), nil }
	}
}

func always(b bool) func(string) predicate {
	return func(string) predicate { return func(_, _ any) (bool, error) { return b, nil } }
}

var predicates = map[string]func(arg string) predicate{
	"true":  always(true),
	"false": always(false),
	"key-not-null": func(string) predicate {
		return func(k, _ any) (bool, error) { return k != nil, nil }
	},
	"value-not-null": when(func(any, string) bool { return true }),
	"value-is-null": func(string) predicate {
		return func(_, v any) (bool, error) { return v == nil, nil }
	},
	"value-starts-with": when(func(v any, x string) bool { return strings.HasPrefix(javaText(v), x) }),
	"value-contains":    when(func(v any, x string) bool { return strings.Contains(javaText(v), x) }),
	"value-len-gt":      when(func(v any, n string) bool { return javaLength(javaText(v)) > parse(n) }),
	"value-gt":          when(func(v any, n string) bool { x, err := asLong(v); return err == nil && x > parse(n) }),
	"value-even":        when(func(v any, _ string) bool { x, err := asLong(v); return err == nil && x%2 == 0 }),
	"key-starts-with": func(x string) predicate {
		return func(k, _ any) (bool, error) { return k != nil && strings.HasPrefix(javaText(k), x), nil }
	},
	"throw-on": func(x string) predicate {
		return func(_, v any) (bool, error) {
			if equals(v, x) {
				return false, errBoom(x)
			}
			return true, nil
		}
	},
}

// javaLength returns the number of UTF-16 units.
func javaLength(s string) int64 { return int64(len(utf16.Encode([]rune(s)))) }

func parse(n string) int64 {
	x, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		panic(err) // a mistake in the corpus
	}
	return x
}

// onText returns a mapper on the text of the value. It maps null to null.
func onText(f func(s, arg string) any) func(string) mapper {
	return func(arg string) mapper {
		return func(_, v any) (any, error) {
			if v == nil {
				return nil, nil
			}
			return f(javaText(v), arg), nil
		}
	}
}

// onValue returns a mapper on the value, which may be null.
func onValue(f func(v any, arg string) any) func(string) mapper {
	return func(arg string) mapper {
		return func(_, v any) (any, error) { return f(v, arg), nil }
	}
}

var valueMappers = map[string]func(arg string) mapper{
	"identity":  onValue(func(v any, _ string) any { return v }),
	"upper":     onText(func(s, _ string) any { return javaUpper(s) }),
	"append":    onText(func(s, x string) any { return s + x }),
	"prefix":    onText(func(s, x string) any { return x + s }),
	"length":    onText(func(s, _ string) any { return javaLength(s) }),
	"after-bar": onText(func(s, _ string) any { return afterBar(s) }),
	"to-string": onValue(func(v any, _ string) any {
		if v == nil {
			return nil
		}
		return javaText(v)
	}),
	"to-long": func(string) mapper {
		return func(_, v any) (any, error) {
			if v == nil {
				return nil, nil
			}
			return strconv.ParseInt(javaText(v), 10, 64)
		}
	},
	"add": func(n string) mapper {
		return func(_, v any) (any, error) {
			if v == nil {
				return nil, nil
			}
			x, err := asLong(v)
			return x + parse(n), err
		}
	},
	"with-key": func(string) mapper {
		return func(k, v any) (any, error) { return javaText(k) + "=" + javaText(v), nil }
	},
	"null-to": onValue(func(v any, x string) any {
		if v == nil {
			return x
		}
		return v
	}),
	"to-null": onValue(func(any, string) any { return nil }),
	"null-if": onValue(func(v any, x string) any {
		if equals(v, x) {
			return nil
		}
		return v
	}),
	"const":    onValue(func(_ any, x string) any { return x }),
	"throw-on": func(x string) mapper { return throwOn(x) },
}

func throwOn(x string) mapper {
	return func(_, v any) (any, error) {
		if equals(v, x) {
			return nil, errBoom(x)
		}
		return v, nil
	}
}

// javaUpper is Java's String.toUpperCase. Unlike Go's function, it maps some letters to
// two.
func javaUpper(s string) string {
	return strings.ReplaceAll(strings.ToUpper(s), "ß", "SS")
}

func afterBar(s string) string {
	if _, after, ok := strings.Cut(s, "|"); ok {
		return after
	}
	return s
}

var flatMappers = map[string]func(arg string) flat{
	"split-words": func(string) flat {
		return func(_, v any) (out []any, err error) {
			for _, word := range words(v) {
				out = append(out, word)
			}
			return out, nil
		}
	},
	"dup":   func(string) flat { return func(_, v any) ([]any, error) { return []any{v, v}, nil } },
	"empty": func(string) flat { return func(_, _ any) ([]any, error) { return nil, nil } },
	"key-and-value": func(string) flat {
		return func(k, v any) ([]any, error) { return []any{javaText(k), javaText(v)}, nil }
	},
}

func words(v any) (out []string) {
	if v == nil {
		return nil
	}
	for _, word := range strings.Split(javaText(v), " ") {
		if word != "" {
			out = append(out, word)
		}
	}
	return out
}
