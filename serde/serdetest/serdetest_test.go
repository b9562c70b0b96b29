package serdetest

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/millrace-streams/millrace/serde"
)

// funcs is a serde made of two functions. The defaults are those of serde.Bytes.
type funcs struct {
	append func(dst, v []byte) ([]byte, error)
	decode func(data []byte) ([]byte, error)
}

func (f funcs) Append(dst, v []byte) ([]byte, error) {
	if f.append == nil {
		return serde.Bytes.Append(dst, v)
	}
	return f.append(dst, v)
}

func (f funcs) Decode(data []byte) ([]byte, error) {
	if f.decode == nil {
		return serde.Bytes.Decode(data)
	}
	return f.decode(data)
}

type wronglyOptional struct{ funcs }

func (wronglyOptional) Absent([]byte) bool { return false }

type absentWhenDecoded struct{ funcs }

func (absentWhenDecoded) Absent([]byte) bool { return true }

type wronglyPartitioned struct{ funcs }

func (wronglyPartitioned) AppendPartitionKey(_, v []byte) ([]byte, error) { return bytes.Clone(v), nil }

// For each rule, a serde that breaks it must fail. Otherwise the suite proves nothing.
func TestRulesFindBrokenSerdes(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	kept := []byte{}
	counter := byte(0)
	tests := map[string]struct {
		serde serde.Serde[[]byte]
		want  string // part of the error of one rule
	}{
		"value refused": {
			funcs{append: func([]byte, []byte) ([]byte, error) { return nil, errors.New("refused") }}, "refused",
		},
		"own bytes refused": {
			funcs{decode: func([]byte) ([]byte, error) { return nil, errors.New("refused") }}, "refused",
		},
		"value lost": {
			funcs{decode: func([]byte) ([]byte, error) { return []byte("x"), nil }}, "decoded as",
		},
		"encoding not determined by the value": {
			funcs{
				append: func(dst, v []byte) ([]byte, error) {
					mu.Lock()
					defer mu.Unlock()
					counter++
					return append(append(dst, v...), counter), nil
				},
				decode: func(data []byte) ([]byte, error) { return serde.Bytes.Decode(data[:max(len(data)-1, 0)]) },
			}, "equal values are encoded",
		},
		"dst dropped": {
			funcs{append: func(_, v []byte) ([]byte, error) { return append([]byte{}, v...), nil }}, "changed what dst held",
		},
		"dst overwritten": {
			funcs{append: func(dst, v []byte) ([]byte, error) { return append(dst[:0], v...), nil }}, "changed what dst held",
		},
		"result kept": {
			funcs{append: func(dst, v []byte) ([]byte, error) {
				if len(dst) > 0 {
					return append(dst, v...), nil
				}
				mu.Lock()
				defer mu.Unlock()
				kept = append(kept[:0], v...)
				return kept, nil
			}}, "result of an earlier call",
		},
		"value aliased": {
			funcs{append: func(dst, v []byte) ([]byte, error) {
				if len(dst) > 0 {
					return append(dst, v...), nil
				}
				return v, nil
			}}, "earlier result was overwritten",
		},
		"argument changed": {
			funcs{decode: func(data []byte) ([]byte, error) {
				v, err := serde.Bytes.Decode(data)
				clear(data)
				return v, err
			}}, "changed its argument",
		},
		"spare capacity written": {
			funcs{decode: func(data []byte) ([]byte, error) {
				v, err := serde.Bytes.Decode(data)
				_ = append(data, 0)
				return v, err
			}}, "what lies behind it",
		},
		"data aliased": {
			funcs{decode: func(data []byte) ([]byte, error) { return data, nil }}, "aliases the data",
		},
		"panic on short data": {
			funcs{decode: func(data []byte) ([]byte, error) {
				_ = data[2]
				return serde.Bytes.Decode(data)
			}}, "panic on",
		},
		"decodes what it cannot encode": {
			funcs{append: func(dst, v []byte) ([]byte, error) {
				if len(v) < 2 {
					return dst, errors.New("too short")
				}
				return append(dst, v...), nil
			}}, "Append refuses",
		},
		"zero value present": {wronglyOptional{}, "zero value"},
		"decoded absent":     {absentWhenDecoded{}, "decodes to an absent value"},
		"partition key":      {wronglyPartitioned{}, "changed what dst held"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			errs := breaches(test.serde)
			if errs == nil || !strings.Contains(errs.Error(), test.want) {
				t.Errorf("have %v, want an error with %q", errs, test.want)
			}
		})
	}
}

// breaches leaves out concurrency: under -race, a serde with a data race rightly fails
// the whole run.
func breaches(s serde.Serde[[]byte]) error {
	equal := func(a, b []byte) bool { return reflect.DeepEqual(a, b) }
	c := contract[[]byte]{s, equal, [][]byte{[]byte("abc"), []byte("defgh")}}
	var errs []error
	for _, rule := range c.rules() {
		if rule.name != "concurrency" {
			errs = append(errs, rule.check())
		}
	}
	return errors.Join(errs...)
}

// The rule on concurrency is tested with a serde that mixes up values without a data
// race.
func TestConcurrencyRuleFindsSharedState(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var last []byte
	s := funcs{
		append: func(dst, v []byte) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			last = v
			return append(dst, v...), nil
		},
		decode: func([]byte) ([]byte, error) {
			runtime.Gosched() // lets other goroutines run even on one processor
			mu.Lock()
			defer mu.Unlock()
			return append([]byte{}, last...), nil
		},
	}
	c := contract[[]byte]{s, func(a, b []byte) bool { return string(a) == string(b) }, [][]byte{[]byte("abc"), []byte("defgh")}}
	if c.concurrency() == nil {
		t.Error("state shared between goroutines was not found")
	}
}

func TestSoundSerdePasses(t *testing.T) {
	t.Parallel()
	Run(t, serde.Bytes, []byte("abc"), []byte{})
	RunEqual(t, serde.Float64, func(a, b float64) bool { return a == b || a != a && b != b }, 0, 1)
}
