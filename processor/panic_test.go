package processor_test

import (
	"errors"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/processor"
)

func caught(f func()) (err *processor.PanicError) {
	defer func() {
		if v := recover(); v != nil {
			err = &processor.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	f()
	return nil
}

type orders struct{ byID map[string]int }

func (o *orders) add(id string) { o.byID[id]++ }

func TestPanicErrorSaysWhere(t *testing.T) {
	t.Parallel()
	var none *orders
	for name, c := range map[string]struct {
		f    func()
		want []string
	}{
		"explicit":    {func() { panic(errors.New("boo")) }, []string{"panic: boo, in processor_test.TestPanicErrorSaysWhere.", "(panic_test.go:"}},
		"nil map":     {func() { new(orders).add("1") }, []string{"panic: assignment to entry in nil map, in processor_test.(*orders).add (panic_test.go:24)"}},
		"nil pointer": {func() { none.add("1") }, []string{"nil pointer dereference, in processor_test.(*orders).add (panic_test.go:24)"}},
		"own function": {func() {
			processor.FixedKeyContext[string, string]{}.Forward(processor.FixedKeyRecord[string, string]{})
		},
			[]string{"the zero FixedKeyRecord", ", in processor_test.TestPanicErrorSaysWhere.", "(panic_test.go:"}},
		"from a panic": {func() { defer func() { panic(recover()) }(); panic("first") }, []string{"panic: first", "(panic_test.go:"}},
	} {
		text := caught(c.f).Error()
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q, want %q in it", name, text, want)
			}
		}
	}
	if got := (&processor.PanicError{Value: "x"}).Error(); got != "panic: x" {
		t.Errorf("without a stack: %q", got)
	}
}

func TestTaskNames(t *testing.T) {
	t.Parallel()
	if got := (processor.Task{SubTopology: 1, Partition: 7, Partitions: 8}).String(); got != "1_7" {
		t.Errorf("String: %q", got)
	}
}
