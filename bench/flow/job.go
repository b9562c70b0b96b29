package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// job is work that programs do on a flow of records.
type job struct {
	name string
	// records returns a function that makes the records, one after the other.
	records func() func() *kgo.Record
	// command returns a program that does the job.
	command func(p program, s started) *exec.Cmd
}

// started says for what a program is started. The topics in and out exist.
type started struct {
	brokers     []string
	application string
	dir         string // for state
	in, out     string // topics
}

// countByValue is the workload countbyvalue of the bench. The first word of a value is
// counted.
var countByValue = job{
	name: "count by value",
	records: func() func() *kgo.Record {
		const words, valueSize = 10_000, 100
		n, padding := 0, strings.Repeat("x", valueSize)
		return func() *kgo.Record {
			key := "word-" + strconv.Itoa(n*7919%words)
			value := key + " " + strconv.Itoa(n) + " " + padding
			n++
			return &kgo.Record{Key: []byte(key), Value: []byte(value)}
		}
	},
	command: func(p program, s started) *exec.Cmd {
		cmd := exec.Command(p.path)
		cmd.Env = append(os.Environ(),
			"BROKERS="+s.brokers[0], "APP_ID="+s.application, "STATE_DIR="+s.dir, "WORKLOAD=countbyvalue",
			"EOS=true", "THREADS=2", "INPUT="+s.in, "OUTPUT="+s.out)
		return cmd
	},
}

// tweetsJob is the example tweets. Its name is that of its topic.
var tweetsJob = job{
	name: "tweets",
	records: func() func() *kgo.Record {
		g := newGenerator()
		return func() *kgo.Record { return &kgo.Record{Value: g.next()} }
	},
	command: func(p program, s started) *exec.Cmd {
		return exec.Command(p.path, "-brokers", strings.Join(s.brokers, ","), "-name", s.in, "-state-dir", s.dir)
	},
}
