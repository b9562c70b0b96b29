package main

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/examples/internal/broker"
	"github.com/millrace-streams/millrace/examples/internal/exampletest"
	"github.com/millrace-streams/millrace/internal/seedtest"
)

// program is a running process of the program.
type program struct {
	*exec.Cmd
	stdout, stderr *exampletest.Screen
	ended          chan error
	temp           string // where it makes temporary directories
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{Cmd: exec.Command(os.Args[0], args...), stdout: exampletest.NewScreen(), stderr: exampletest.NewScreen(), ended: make(chan error, 1), temp: t.TempDir()}
	p.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+p.temp)
	p.Stdout, p.Stderr = p.stdout, p.stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() {
		p.Process.Kill()
		if t.Failed() {
			t.Logf("%s said\n%s", p, p.stderr.Text())
		}
	})
	return p
}

// end sends a signal. It returns when the program has ended and all of its output is
// available.
func (p *program) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(signal); err != nil {
		t.Fatalf("the program has ended by itself (%v):\n%s", err, p.stderr.Text())
	}
	select {
	case err := <-p.ended:
		if err != nil && signal != syscall.SIGKILL {
			t.Fatalf("the program failed: %v\n%s", err, p.stderr.Text())
		}
	case <-time.After(exampletest.Patience):
		t.Fatalf("the program does not end:\n%s", p.stderr.Text())
	}
}

// size returns the number of bytes of the files in a directory.
func size(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil {
			if info, err := e.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// TestRestart: the program is interrupted and killed at random points, and restarted with
// the same state directory. It counts each tweet in exactly one batch, and writes all
// results exactly once.
func TestRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel()
	random := seedtest.Rand(t, "./examples/tweets")
	dir := t.TempDir()
	args := []string{"-interval", "1s", "-window", "4s", "-rate", "300", "-terms", "a,e,kafka,の", "-verbose", "-state-dir", dir}

	var printed strings.Builder
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT, syscall.SIGKILL, syscall.SIGKILL} {
		p := start(t, args...)
		p.stdout.WaitFor(t, "batch", func(text string) bool { return strings.Contains(text, "Time: ") })
		until := size(filepath.Join(dir, "broker")) + random.Int64N(1<<20)
		waitUntil(t, "progress", func() bool { return size(filepath.Join(dir, "broker")) >= until })
		p.end(t, signal)
		printed.WriteString(p.stdout.Text())
	}

	// The last run has a separate broker, and so no replay: it counts the existing
	// tweets.
	brokers, stop, err := broker.Embedded(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	p := start(t, append(args, "-brokers", strings.Join(brokers, ","))...)
	o, err := parse(args, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	w := &written{t: t, o: o, brokers: brokers}
	w.expect()
	counted := func() (n int) {
		for _, rows := range w.rows(o.topics().terms) {
			for _, of := range rows {
				n += of
			}
		}
		return n
	}
	all := 0
	for _, n := range w.terms {
		all += n
	}
	blocks := func() int { return strings.Count(p.stdout.Text(), "Time: ") }
	// batches in which nothing new is counted; only a failing test sees that many
	const perBatch, patient = 8, 600
	for n, progress := counted(), 0; n < all && blocks() < progress+patient*perBatch; {
		seen := blocks()
		p.stdout.WaitFor(t, "batch", func(string) bool { return blocks() > seen })
		if now := counted(); now > n {
			n, progress = now, blocks()
		}
	}
	// if a batch is printed, it is written, and so are the ones before
	until := blocks() + 2*perBatch
	p.stdout.WaitFor(t, "batch", func(string) bool { return blocks() > until })
	p.end(t, syscall.SIGINT)
	printed.WriteString(p.stdout.Text())
	w.check()
	checkPrinted(t, printed.String())
}

// written is the content of the topics. It is compared with the expected content,
// computed from each input record.
type written struct {
	t       *testing.T
	o       options
	brokers []string

	naive
	terms map[string]int
}

func (w *written) expect() {
	w.naive.o = w.o
	checkReplayed(w.t, w.brokers, w.o.topics().inputs())
	for _, topic := range w.o.topics().inputs() {
		for _, r := range read(w.t, w.brokers, topic) {
			w.add(r.Value)
		}
	}
	w.terms = countAll(w.tweets, w.termsOf)
}

// rows returns the counts in a topic, by end of the batch and term. None may occur twice.
func (w *written) rows(topic string) map[int64]map[string]int {
	rows := make(map[int64]map[string]int)
	for _, r := range read(w.t, w.brokers, topic) {
		end := batchOf(w.t, r)
		if rows[end] == nil {
			rows[end] = make(map[string]int)
		}
		if _, twice := rows[end][string(r.Key)]; twice {
			w.t.Errorf("%s has %s of batch %d twice", topic, r.Key, end)
		}
		rows[end][string(r.Key)] = count(w.t, r.Key, r.Value)
	}
	return rows
}

// lastWindows returns the end of the last window that each term's partition has. Each
// partition has a task of its own. The interrupt may come when only some of the tasks
// have written the window.
func (w *written) lastWindows() map[string]int64 {
	ends := make(map[int32]int64)
	for _, r := range read(w.t, w.brokers, w.o.topics().termsInWindow) {
		ends[r.Partition] = max(ends[r.Partition], batchOf(w.t, r))
	}
	last := make(map[string]int64)
	for _, r := range read(w.t, w.brokers, w.o.topics().terms) {
		last[string(r.Key)] = ends[r.Partition]
		if ends[r.Partition] == 0 {
			w.t.Errorf("partition %d has counts and no window", r.Partition)
		}
	}
	return last
}

func batchOf(t *testing.T, r *kgo.Record) int64 {
	t.Helper()
	for _, h := range r.Headers {
		if h.Key == batch.HeaderBatch {
			end, err := strconv.ParseInt(string(h.Value), 10, 64)
			if err != nil || end != r.Timestamp.UnixMilli() {
				t.Fatalf("header %s of a record at %d (%v)", h.Value, r.Timestamp.UnixMilli(), err)
			}
			return end
		}
	}
	t.Fatalf("a record without the header %s", batch.HeaderBatch)
	return 0
}

func (w *written) check() {
	t, topics := w.t, w.o.topics()
	rows := w.rows(topics.terms)
	got := make(map[string]int)
	for end, counts := range rows {
		if end%w.o.interval.Milliseconds() != 0 {
			t.Errorf("a batch ends at %d", end)
		}
		for term, n := range counts {
			got[term] += n
		}
	}
	if !maps.Equal(got, w.terms) {
		t.Errorf("over all batches the counts of terms are %v, want %v", got, w.terms)
	}
	last := w.lastWindows()
	for end, counts := range w.rows(topics.termsInWindow) {
		want := make(map[string]int)
		for e := end; e > end-w.o.window.Milliseconds(); e -= w.o.interval.Milliseconds() {
			for term, n := range rows[e] {
				if end <= last[term] {
					want[term] += n
				}
			}
		}
		if !maps.Equal(counts, want) {
			t.Errorf("in the window up to %d the counts are %v, want %v", end, counts, want)
		}
	}
	filtered, broken := w.values(topics.filtered), w.values(topics.broken)
	if got := ids(t, filtered); !slices.Equal(got, slices.Sorted(slices.Values(w.filtered))) {
		t.Errorf("%d tweets are in %s, want %d", len(got), topics.filtered, len(w.filtered))
	}
	if !slices.Equal(broken, slices.Sorted(slices.Values(w.broken))) {
		t.Errorf("%d tweets are in %s, want %d", len(broken), topics.broken, len(w.broken))
	}
	t.Logf("%d tweets, %d of interest, %d broken, %d batches", len(w.tweets), len(filtered), len(broken), len(rows))
}

// values returns the values of a topic, sorted.
func (w *written) values(topic string) (all []string) {
	for _, r := range read(w.t, w.brokers, topic) {
		all = append(all, string(r.Value))
	}
	slices.Sort(all)
	return all
}

var header = regexp.MustCompile(`(?m)^Time: .*$`)

// checkPrinted checks that no batch is printed twice.
func checkPrinted(t *testing.T, text string) {
	t.Helper()
	seen := make(map[string]bool)
	for _, line := range header.FindAllString(text, -1) {
		if seen[line] {
			t.Errorf("printed twice: %s", line)
		}
		seen[line] = true
	}
}

// TestFirstBatchIsSoon: the first batch comes at most the interval and two seconds after
// the start.
//
// The test allows for slow machines. A slow machine gets ten times as long as it needs
// for the broker and its topics. Each machine gets several tries, of which one must be in
// time. If the program waited for something unnecessarily, every try would be late.
func TestFirstBatchIsSoon(t *testing.T) {
	t.Parallel()
	const interval, tries = 100 * time.Millisecond, 5
	for range tries {
		began := time.Now()
		p := start(t, "-interval", interval.String(), "-window", "1s")
		p.stderr.WaitFor(t, "beginning of the job", func(text string) bool { return strings.Contains(text, "tweets come from") })
		limit := interval + 2*time.Second + 10*time.Since(began)
		p.stdout.WaitFor(t, "batch", func(text string) bool { return strings.Contains(text, "Time: ") })
		took := time.Since(began)
		p.end(t, syscall.SIGKILL)
		if took <= limit {
			return
		}
		t.Logf("%v to the first batch, of %v", took, limit)
	}
	t.Error("the first batch is late each time")
}

// TestDuration: the program ends after -duration, and leaves no files behind.
func TestDuration(t *testing.T) {
	t.Parallel()
	p := start(t, "-interval", "500ms", "-duration", "1s")
	select {
	case err := <-p.ended:
		if err != nil {
			t.Fatalf("the program failed: %v\n%s", err, p.stderr.Text())
		}
	case <-time.After(exampletest.Patience):
		t.Fatal("the program does not end")
	}
	if !strings.Contains(p.stderr.Text(), "went to tweets-broken") {
		t.Errorf("it said\n%s", p.stderr.Text())
	}
	if left, err := os.ReadDir(p.temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}
