package millrace_test

import (
	"context"
	"errors"
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
