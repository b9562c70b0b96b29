package conformance

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/millrace-streams/millrace/serde"
)

// onValueText returns a key mapper that maps a null value to null.
func onValueText(f func(s string) any) func(string) mapper {
	return func(string) mapper {
		return func(_, v any) (any, error) {
			if v == nil {
				return nil, nil
			}
			return f(javaText(v)), nil
		}
	}
}

func onKeyText(f func(s, arg string) any) func(string) mapper {
	return func(arg string) mapper {
		return func(k, _ any) (any, error) {
			if k == nil {
				return nil, nil
			}
			return f(javaText(k), arg), nil
		}
	}
}

var keyMappers = map[string]func(arg string) mapper{
	"key":            func(string) mapper { return func(k, _ any) (any, error) { return k, nil } },
	"value-to-key":   onValue(func(v any, _ string) any { return v }),
	"first-word":     onValueText(firstWord),
	"first-char":     onValueText(firstChar),
	"before-bar":     onValueText(beforeBar),
	"value-length":   onValueText(func(s string) any { return javaLength(s) }),
	"null-key":       onValue(func(any, string) any { return nil }),
	"const":          onValue(func(_ any, x string) any { return x }),
	"key-prefix":     func(x string) mapper { return func(k, _ any) (any, error) { return x + javaText(k), nil } },
	"key-first-char": onKeyText(func(s, _ string) any { return firstChar(s) }),
	"null-if-value": func(x string) mapper {
		return func(k, v any) (any, error) {
			if equals(v, x) {
				return nil, nil
			}
			return k, nil
		}
	},
	"unwindow":   func(string) mapper { return func(k, _ any) (any, error) { return unwindow(k) } },
	"window-str": func(string) mapper { return func(k, _ any) (any, error) { return javaText(k), nil } },
}

func firstWord(s string) any {
	word, _, _ := strings.Cut(s, " ")
	return word
}

func firstChar(s string) any {
	if s == "" {
		return nil
	}
	return string(utf16.Decode(utf16.Encode([]rune(s))[:1]))
}

func beforeBar(s string) any {
	if before, _, ok := strings.Cut(s, "|"); ok {
		return before
	}
	return nil
}

// onePair returns a function that returns one pair.
func onePair(f func(k, v any, arg string) (pair, error)) func(string) pairs {
	return func(arg string) pairs {
		return func(k, v any) ([]pair, error) {
			p, err := f(k, v, arg)
			return []pair{p}, err
		}
	}
}

// byKey returns a key-value mapper that applies a key mapper and keeps the value.
func byKey(name string) func(string) pairs {
	return onePair(func(k, v any, arg string) (pair, error) {
		key, err := keyMappers[name](arg)(k, v)
		return pair{key, v}, err
	})
}

func upperText(v any) any {
	if v == nil {
		return nil
	}
	return javaUpper(javaText(v))
}

// errNullPair is what a mapper returns where the one in Java returns null.
var errNullPair = errors.New("the mapper returned null instead of a pair")

var pairMappers = map[string]func(arg string) pairs{
	"swap":               onePair(func(k, v any, _ string) (pair, error) { return pair{v, k}, nil }),
	"upper-both":         onePair(func(k, v any, _ string) (pair, error) { return pair{upperText(k), upperText(v)}, nil }),
	"null-both":          onePair(func(_, _ any, _ string) (pair, error) { return pair{}, nil }),
	"same":               onePair(func(k, v any, _ string) (pair, error) { return pair{k, v}, nil }),
	"first-char-key":     byKey("first-char"),
	"first-word-key":     byKey("first-word"),
	"const-key":          byKey("const"),
	"key-first-char-key": byKey("key-first-char"),
	"unwindow":           byKey("unwindow"),
	"before-bar-key": onePair(func(_, v any, _ string) (pair, error) {
		if v == nil {
			return pair{}, nil
		}
		return pair{beforeBar(javaText(v)), afterBar(javaText(v))}, nil
	}),
	"parity-key": onePair(func(_, v any, _ string) (pair, error) {
		if v == nil {
			return pair{}, nil
		}
		n, err := asLong(v)
		if n%2 == 0 {
			return pair{"even", v}, err
		}
		return pair{"odd", v}, err
	}),
	"null-key-if": onePair(func(k, v any, x string) (pair, error) {
		if equals(v, x) {
			return pair{nil, v}, nil
		}
		key, err := keyMappers["first-char"]("")(k, v)
		return pair{key, v}, err
	}),
	"null-value-if": onePair(func(k, v any, x string) (pair, error) {
		key, err := keyMappers["first-char"]("")(k, v)
		if equals(v, x) {
			v = nil
		}
		return pair{key, v}, err
	}),
	"null-pair-if": func(x string) pairs {
		return func(k, v any) ([]pair, error) {
			if equals(v, x) {
				return nil, errNullPair
			}
			key, err := keyMappers["first-char"]("")(k, v)
			return []pair{{key, v}}, err
		}
	},
}

var flatPairs = map[string]func(arg string) pairs{
	"words-as-keys": func(string) pairs {
		return func(_, v any) (out []pair, err error) {
			for _, word := range words(v) {
				out = append(out, pair{word, v})
			}
			return out, nil
		}
	},
	"dup-kv": func(string) pairs { return func(k, v any) ([]pair, error) { return []pair{{k, v}, {v, k}}, nil } },
	"empty":  func(string) pairs { return func(_, _ any) ([]pair, error) { return nil, nil } },
}

// unwindow returns the plain key of a windowed key.
func unwindow(k any) (any, error) {
	if k == nil {
		return nil, nil
	}
	w, ok := k.(serde.Windowed[any])
	if !ok {
		return nil, fmt.Errorf("a %T cannot be cast to a windowed key", k)
	}
	return w.Key, nil
}
