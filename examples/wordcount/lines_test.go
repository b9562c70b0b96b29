package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestLines(t *testing.T) {
	t.Parallel()
	long, longer := strings.Repeat("é", maxLine/2), strings.Repeat("é", maxLine/2)+"x"
	tests := []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"ends", "one\ntwo\r\n\nthree", []string{"one", "two", "", "three"}},
		{"CR inside", "a\rb\r\r\n", []string{"a\rb\r"}},
		{"UTF-8", "Ünï 語\n", []string{"Ünï 語"}},
		{"longest", long + "\r\n" + long, []string{long, long}},
		{"too long", "a\n" + longer + "\nb\n", []string{"a", tooLong, "b"}},
		{"too long by far", longer + longer + "\r\nb", []string{tooLong, "b"}},
		{"too long at the end", longer + longer, []string{tooLong}},
	}
	for _, test := range tests {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole":         func(r io.Reader) io.Reader { return r },
			"halves":        iotest.HalfReader,
			"data with EOF": iotest.DataErrReader,
		} {
			t.Run(test.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				r := newLineReader(wrap(strings.NewReader(test.in)))
				got, err := all(r)
				if err != io.EOF || !slices.Equal(got, test.want) {
					t.Errorf("lines are %.80q and %v, want %.80q", got, err, test.want)
				}
				if r.consumed != int64(len(test.in)) {
					t.Errorf("%d bytes consumed, want %d", r.consumed, len(test.in))
				}
			})
		}
	}
}

// tooLong stands for a skipped line.
const tooLong = "(too long)"

func all(r *lineReader) (lines []string, err error) {
	for {
		line, err := r.next()
		switch {
		case err == errLongLine:
			lines = append(lines, tooLong)
		case err != nil:
			return lines, err
		default:
			lines = append(lines, string(line))
		}
	}
}

// TestLineIsTheCallers: a line does not change when the next one is read.
func TestLineIsTheCallers(t *testing.T) {
	t.Parallel()
	r := newLineReader(strings.NewReader("one\ntwo\n"))
	first, _ := r.next()
	if _, err := r.next(); err != nil || string(first) != "one" {
		t.Errorf("the first line has become %q (%v)", first, err)
	}
}

// TestHalfALine: if the connection breaks in the middle of a line, the part before is not
// a line.
func TestHalfALine(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	r := newLineReader(io.MultiReader(strings.NewReader("one\ntw"), iotest.ErrReader(broken)))
	if got, err := all(r); !slices.Equal(got, []string{"one"}) || err != broken {
		t.Errorf("lines are %q and %v", got, err)
	}
}

// TestLinesContinue: a reader that continues at consumed gets each line once.
func TestLinesContinue(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var text bytes.Buffer
	for range 1000 {
		text.WriteString(strings.Repeat("x", random.IntN(300)))
		text.WriteString([]string{"\n", "\r\n"}[random.IntN(2)])
	}
	whole, _ := all(newLineReader(bytes.NewReader(text.Bytes())))
	var got []string
	for start := int64(0); start < int64(text.Len()); {
		r := newLineReader(bytes.NewReader(text.Bytes()[start:]))
		for range 1 + random.IntN(50) {
			if line, err := r.next(); err == nil {
				got = append(got, string(line))
			}
		}
		start += r.consumed
	}
	if len(whole) != 1000 || !slices.Equal(got, whole) {
		t.Errorf("%d lines in pieces, %d in one go", len(got), len(whole))
	}
}
