package topologytest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topologytest"
)

// recorder is a testing.TB whose Fatalf ends a goroutine and not the test.
type recorder struct {
	testing.TB
	text string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.text = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// fatal returns the text with which f fails its test.
func fatal(t *testing.T, f func(tb testing.TB)) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.text
}

func TestFailuresFailTheTest(t *testing.T) {
	t.Parallel()
	on := true
	for _, test := range []struct {
		want string
		f    func(d *topologytest.Driver)
	}{
		{"the topology has failed: node shout: process: record in/0@0: no x here", func(d *topologytest.Driver) {
			topologytest.Input(d, "in", serde.String, serde.String).Send("k", "x", start)
		}},
		{"call Restart first", func(d *topologytest.Driver) {
			in := topologytest.Input(d, "in", serde.String, serde.String)
			_ = d.Try(func() { in.Send("k", "x", start) })
			in.Send("k", "a", start)
		}},
		{`no node or store is called "nobody"; there are: `, func(d *topologytest.Driver) { d.Crash("nobody", 0) }},
		{"has no partition 7", func(d *topologytest.Driver) { d.Crash("shout", 7) }},
		{"topic in has no partition 3: it has 1", func(d *topologytest.Driver) { d.Send("in", 3, nil, nil, 0) }},
		{"the clock cannot go back", func(d *topologytest.Driver) { d.Advance(-1) }},
		{`no node or store is called "s"`, func(d *topologytest.Driver) { topologytest.Store[state.KeyValueStore[string, int64]](d, "s", 0) }},
		{`there is no topic "im": use one of in, out, or declare it with`, func(d *topologytest.Driver) {
			topologytest.Input(d, "im", serde.String, serde.String)
		}},
		{`there is no topic "im"`, func(d *topologytest.Driver) { d.Send("im", 0, nil, nil, 0) }},
		{`there is no topic "uot"`, func(d *topologytest.Driver) { topologytest.Output(d, "uot", serde.String, serde.String) }},
		{`there is no topic "test-x-changelog"`, func(d *topologytest.Driver) { d.Topic("test-x-changelog") }},
		{"offset 0: value", func(d *topologytest.Driver) {
			d.Send("in", 0, nil, []byte("abc"), processor.Timestamp(1))
			topologytest.Output(d, "out", serde.String, serde.Int64).Records()
		}},
	} {
		text := fatal(t, func(tb testing.TB) { test.f(topologytest.New(tb, failing(tb, &on))) })
		if !strings.Contains(text, test.want) {
			t.Errorf("the test failed with %q, want %q", text, test.want)
		}
	}
	if text := fatal(t, func(tb testing.TB) { topologytest.New(tb, nil) }); !strings.Contains(text, "topolog") {
		t.Errorf("a nil topology failed with %q", text)
	}
}
