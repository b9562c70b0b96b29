package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topologytest"
)

// TestWorkloads runs each workload on a few records in the contract's form, and compares
// the last value of each key.
func TestWorkloads(t *testing.T) {
	t.Parallel()
	lines := []string{"word-00001 00000011 yyy", "word-00002 00000020 yyy", "word-00001 00000031 yyy"}
	at := time.UnixMilli(62_000)
	for name, want := range map[string]map[string]string{
		"passthrough":  {"k0": "WORD-00001 00000011 YYY", "k2": "WORD-00001 00000031 YYY"},
		"count":        {"k0": "1", "k1": "1", "k2": "1"},
		"countbyvalue": {"word-00001": "2", "word-00002": "1"},
		"wordcount":    {"word-00001": "2", "word-00002": "1", "00000011": "1", "00000020": "1", "00000031": "1", "yyy": "3"},
		"hopping":      windowsOf(at, "k0", "k1", "k2"),
		"sliding":      {"k0@2000": "1", "k1@2000": "1", "k2@2000": "1"},
		"session":      {"k0@62000@62000": "1", "k1@62000@62000": "1", "k2@62000@62000": "1"},
		"streamtable":  {"k1": "word-00002 00000020 yyy|row"},
		"streamstream": {"k1": "00000020|7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			built, err := workload{name: name, input: "in", input2: "in2", output: "out", overlap: 12}.build()
			if err != nil {
				t.Fatal(err)
			}
			opts := []topologytest.Option{topologytest.Partitions("in", 2)}
			second := map[string]string{"streamtable": "row", "streamstream": "x 7 y"}[name]
			if second != "" {
				opts = append(opts, topologytest.Partitions("in2", 2))
			}
			d := topologytest.New(t, built, opts...)
			if second != "" {
				topologytest.Input(d, "in2", serde.String, serde.String).Send("k1", second, at.Add(time.Second))
			}
			in := topologytest.Input(d, "in", serde.String, serde.String)
			for i, line := range lines {
				in.Send(fmt.Sprintf("k%d", i), line, at)
			}
			if diff := cmp.Diff(want, last(d, name)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// windowsOf returns, for each key, a count of one in each one-minute window that contains
// at.
func windowsOf(at time.Time, keys ...string) map[string]string {
	counts := map[string]string{}
	for start := at.Truncate(5 * time.Second).Add(-55 * time.Second); !start.After(at); start = start.Add(5 * time.Second) {
		for _, key := range keys {
			counts[fmt.Sprintf("%s@%d", key, start.UnixMilli())] = "1"
		}
	}
	return counts
}

// last returns the last output of each key, as text.
func last(d *topologytest.Driver, name string) map[string]string {
	got := map[string]string{}
	switch name {
	case "passthrough", "streamtable", "streamstream":
		for _, r := range topologytest.Output(d, "out", serde.String, serde.String).Records() {
			got[r.Key] = r.Value
		}
		return got
	}
	for _, r := range topologytest.Output(d, "out", serde.String, serde.Int64).Records() {
		got[r.Key] = fmt.Sprint(r.Value)
	}
	return got
}

func TestParse(t *testing.T) {
	t.Parallel()
	env := map[string]string{"BROKERS": "a:1,b:2", "APP_ID": "app", "STATE_DIR": "dir", "WORKLOAD": "count", "EOS": "true", "THREADS": "2", "INPUT": "in", "OUTPUT": "out", "CACHE_BYTES": "0"}
	w, config, err := parse(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	if want := (workload{name: "count", input: "in", output: "out", grace: 10 * time.Second, overlap: 12}); w != want {
		t.Errorf("workload %+v, want %+v", w, want)
	}
	if config.Guarantee != millrace.ExactlyOnce || !config.EveryUpdate || config.Workers != 2 || config.CommitInterval != 100*time.Millisecond || len(config.Brokers) != 2 {
		t.Errorf("config %+v", config)
	}
	for _, wrong := range []struct{ name, value string }{{"THREADS", "two"}, {"WINDOWS", "0"}} {
		before := env[wrong.name]
		env[wrong.name] = wrong.value
		if _, _, err := parse(func(name string) string { return env[name] }); err == nil {
			t.Errorf("%s=%s is accepted", wrong.name, wrong.value)
		}
		env[wrong.name] = before
	}
	if _, err := (workload{name: "join"}).build(); err == nil {
		t.Error("an unknown workload is accepted")
	}
}
