package millrace_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestConfigReportsAllProblems(t *testing.T) {
	t.Parallel()
	_, err := millrace.New(nil, millrace.Config{
		ApplicationID: "a/b", Workers: -1, CommitInterval: time.Minute, TransactionTimeout: time.Millisecond, SessionTimeout: -1, CloseTimeout: -1,
		StateMemory: 1, BufferMemory: 1, ReplicationFactor: -2, Guarantee: 7, OnClose: 7,
		Errors:        processor.ErrorPolicy{Decode: 9, Process: processor.DeadLetter, Exhausted: processor.Retry, Retries: -1},
		Hooks:         []millrace.Hook{"no hook"},
		ClientOptions: []kgo.Opt{kgo.ConsumerGroup("mine")},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, words := range []string{
		"topology is nil", "ApplicationID", "StateDir", "Workers", "CommitInterval", "TransactionTimeout", "SessionTimeout", "CloseTimeout",
		"StateMemory", "BufferMemory", "ReplicationFactor", "Guarantee", "OnClose", "Errors.Decode", "DeadLetterTopic", "Errors.Exhausted", "Retries", "Hooks[0]",
		"kgo.ConsumerGroup",
	} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("nothing about %s in\n%v", words, err)
		}
	}
	_, err = millrace.New(passthrough(t), millrace.Config{ApplicationID: "app", StateDir: "dir"})
	if err == nil || !strings.Contains(err.Error(), "Brokers") {
		t.Errorf("without brokers: %v", err)
	}
	_, err = millrace.New(passthrough(t), millrace.Config{ApplicationID: "app", StateDir: "dir", ClientOptions: []kgo.Opt{kgo.ClientID("me")}})
	if err == nil || !strings.Contains(err.Error(), "Brokers") {
		t.Errorf("with options but without brokers: %v", err)
	}
	if _, err := millrace.New(passthrough(t), millrace.Config{ApplicationID: "app", StateDir: "dir", ClientOptions: []kgo.Opt{kgo.SeedBrokers("a:1")}}); err != nil {
		t.Errorf("with seed brokers as an option: %v", err)
	}
}

func TestConfigOfBrokersAndTimeouts(t *testing.T) {
	t.Parallel()
	good := millrace.Config{ApplicationID: "app", Brokers: []string{"a:1"}, StateDir: "dir"}
	for want, change := range map[string]func(*millrace.Config){
		`Config.Brokers[1] is "b:2,c:3": use one host:port per element`: func(c *millrace.Config) { c.Brokers = []string{"a:1", "b:2,c:3"} },
		`Config.Brokers[0] is "http://a:1": use one host:port`:          func(c *millrace.Config) { c.Brokers = []string{"http://a:1"} },
		"Config.TaskIdle is -1ms: use 0 or more":                        func(c *millrace.Config) { c.TaskIdle = -time.Millisecond },
		"Config.SessionTimeout is 1ns: use at least 100ms":              func(c *millrace.Config) { c.SessionTimeout = 1 },
		"Config.SessionTimeout is 720h0m0s: use at most":                func(c *millrace.Config) { c.SessionTimeout = 30 * 24 * time.Hour },
		"Config.TransactionTimeout is 720h0m0s: use at most":            func(c *millrace.Config) { c.TransactionTimeout = 30 * 24 * time.Hour },
		"Config.LostOffsets is 3: use RestartRefused":                   func(c *millrace.Config) { c.LostOffsets = 3 },
		"Config.RecreatedInputs is -1: use RestartRefused":              func(c *millrace.Config) { c.RecreatedInputs = -1 },
		"Config.Errors.DeadLetterTopic is empty, but":                   func(c *millrace.Config) { c.Errors.Process = processor.DeadLetter },
	} {
		cfg := good
		change(&cfg)
		if _, err := millrace.New(passthrough(t), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New says %v, want %s", err, want)
		}
	}
}

// panicking is a hook that panics.
type panicking struct{}

func (panicking) OnStateChange(_, _ millrace.State) { panic("in a hook") }

func TestHookThatPanicsIsLogged(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	app, err := millrace.New(passthrough(t), millrace.Config{
		ApplicationID: "app", Brokers: []string{"127.0.0.1:1"}, StateDir: t.TempDir(),
		Hooks: []millrace.Hook{panicking{}}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := app.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	if want := "a hook panicked"; !strings.Contains(log.String(), want) || !strings.Contains(log.String(), "millrace_test.panicking") {
		t.Errorf("log without %q:\n%s", want, log.String())
	}
}

// A handle of another topology, with a table of the same name, must not misread the rows.
func TestQueriesOfOtherTypes(t *testing.T) {
	t.Parallel()
	topo, table := counting(t)
	app, err := millrace.New(topo, millrace.Config{ApplicationID: "app", Brokers: []string{"127.0.0.1:1"}, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	name := table.StoreName()
	add := func(n int, _ processor.Record[string, string]) int { return n }
	strs := topology.GroupByKey(topology.Source(topology.New(), "in", serde.String, serde.String), "g")
	values := topology.Aggregate(strs, name, func() int { return 0 }, add, serde.JSON[int]())
	keys := topology.GroupByKey(topology.Source(topology.New(), "in", serde.Int64, serde.String), "g").Count(name)
	windows := strs.Window(topology.Tumbling(time.Second)).Count(name)
	_, _, ofValues := millrace.Get(ctx, app, values, "x")
	_, _, ofKeys := millrace.Get(ctx, app, keys, 1)
	_, _, ofWindows := millrace.Get(ctx, app, windows, serde.Windowed[string]{Key: "x"})
	errs := map[string]error{
		"its values are int64, not json int": ofValues, "its keys are string, not int64": ofKeys, "it has no windows": ofWindows,
	}
	for _, err := range millrace.Range(ctx, app, values, nil, nil) {
		errs["values are int64, not json int"] = err
	}
	for _, err := range millrace.Windows(ctx, app, windows, "x", time.Time{}, time.Time{}) {
		errs["it has no windows"] = err
	}
	for want, err := range errs {
		if err == nil || errors.Is(err, millrace.ErrNotHere) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestQueriesThatCannotBeAnswered(t *testing.T) {
	t.Parallel()
	topo, table := counting(t)
	app, err := millrace.New(topo, millrace.Config{ApplicationID: "app", Brokers: []string{"127.0.0.1:1"}, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := millrace.Get(context.Background(), app, table, "x"); !errors.Is(err, millrace.ErrNotHere) {
		t.Errorf("before Run: %v", err)
	}
	b := topology.New()
	other := topology.GroupByKey(topology.Source(b, "in", serde.String, serde.String), "g").Count("others")
	if _, _, err := millrace.Get(context.Background(), app, other, "x"); !errors.Is(err, millrace.ErrNoSuchStore) {
		t.Errorf("another topology's table: %v", err)
	}
	for _, err := range millrace.Range(context.Background(), app, other, nil, nil) {
		if !errors.Is(err, millrace.ErrNoSuchStore) {
			t.Errorf("range: %v", err)
		}
	}
}
