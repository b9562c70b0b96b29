package main

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/examples/internal/exampletest"
)

// program is a run of the whole program.
type program struct {
	stdout, stderr *exampletest.Screen
	cancel         context.CancelFunc
	ended          chan error
}

func start(t *testing.T, o options) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &program{stdout: exampletest.NewScreen(), stderr: exampletest.NewScreen(), cancel: cancel, ended: make(chan error, 1)}
	go func() { p.ended <- run(ctx, o, p.stdout, p.stderr) }()
	return p
}

// end interrupts the program, and returns when it has ended.
func (p *program) end(t *testing.T) {
	t.Helper()
	p.cancel()
	p.wait(t)
}

func (p *program) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.ended:
		if err != nil {
			t.Fatalf("the program failed: %v\n%s", err, p.stderr.Text())
		}
	case <-time.After(exampletest.Patience):
		t.Fatalf("the program does not end:\n%s", p.stderr.Text())
	}
}

// said waits until the program has written text to stderr that matches the expression,
// and returns the group.
func (p *program) said(t *testing.T, expression string) string {
	t.Helper()
	r := regexp.MustCompile(expression)
	var found []string
	p.stderr.WaitFor(t, expression, func(text string) bool {
		found = r.FindStringSubmatch(text)
		return found != nil
	})
	return found[1]
}

// write sends text over TCP, in one connection.
func (p *program) write(t *testing.T, text string) {
	t.Helper()
	conn := dial(t, p.said(t, `msg="waiting for lines" address=(\S+)`))
	write(t, conn, text)
	conn.Close()
}

var (
	block = regexp.MustCompile(`^-{43}\nTime: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?\n-{43}\n((?:\(.*,\d+\)\n){0,10})(?:\.\.\.\n)?\n`)
	row   = regexp.MustCompile(`(?m)^\((.*),(\d+)\)$`)
)

// counts returns the sum of all batches, and checks their form.
func (p *program) counts(t *testing.T) map[string]int {
	t.Helper()
	sum := make(map[string]int)
	for text := p.stdout.Text(); text != ""; {
		parts := block.FindStringSubmatch(text)
		if parts == nil {
			t.Fatalf("this is not how a batch is printed:\n%s", text)
		}
		for _, r := range row.FindAllStringSubmatch(parts[1], -1) {
			n, err := strconv.Atoi(r[2])
			if err != nil {
				t.Fatal(err)
			}
			sum[r[1]] += n
		}
		text = text[len(parts[0]):]
	}
	return sum
}

func (p *program) waitForCounts(t *testing.T, want map[string]int) {
	t.Helper()
	p.stdout.WaitFor(t, "counts", func(string) bool { return maps.Equal(p.counts(t), want) })
}

func TestWordcount(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	p := start(t, options{listen: "127.0.0.1:0", dir: folder, interval: 500 * time.Millisecond})
	state := p.said(t, `state is kept in (\S+)`)
	p.said(t, `(waiting for new files)`)
	hidden, seen := filepath.Join(folder, ".a.txt"), filepath.Join(folder, "a.txt")
	if err := os.WriteFile(hidden, []byte("über und\nüber\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// a file that is seen while it is empty might count as read if the writer pauses
	if err := os.Rename(hidden, seen); err != nil {
		t.Fatal(err)
	}
	p.write(t, "to be or\r\nnot to be\r\n\r\n über")
	want := map[string]int{"be": 2, "not": 1, "or": 1, "to": 2, "und": 1, "über": 3}
	p.waitForCounts(t, want)

	// Batches without words are printed too, and nothing is counted again.
	blocks := strings.Count(p.stdout.Text(), "Time: ")
	p.stdout.WaitForCount(t, "Time: ", blocks+2)
	p.end(t)
	if got := p.counts(t); !maps.Equal(got, want) {
		t.Errorf("counts are %v, want %v", got, want)
	}
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("the temporary state directory %s is left (%v)", state, err)
	}
}

// TestRestart: with a state directory, each word is counted once, whenever the program
// ends and starts.
func TestRestart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	o := options{listen: "127.0.0.1:0", dir: folder, interval: time.Second, stateDir: filepath.Join(t.TempDir(), "state")}
	total := make(map[string]int)
	for i := range 3 {
		p := start(t, o)
		p.write(t, "again and again\n")
		// Kafka has the line; it is most likely not counted yet
		p.said(t, `(msg=disconnected)`)
		if i < 2 {
			p.end(t)
		} else {
			p.stdout.WaitFor(t, "counts", func(string) bool {
				return total["again"]+p.counts(t)["again"] == 6 && total["file"]+p.counts(t)["file"] == 2
			})
			p.end(t)
		}
		for word, n := range p.counts(t) {
			total[word] += n
		}
		name := filepath.Join(folder, strconv.Itoa(i)+".txt")
		if err := os.WriteFile(name, []byte("file\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := map[string]int{"again": 6, "and": 3, "file": 2}; !maps.Equal(total, want) {
		t.Errorf("counts are %v, want %v", total, want)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	p := start(t, options{listen: "127.0.0.1:0", interval: time.Second, duration: 2 * time.Second})
	p.wait(t)
	p.counts(t)
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	s, address := newSocket(t, &kafka{log: slog.New(slog.DiscardHandler)})
	defer s.listener.Close()
	p := start(t, options{listen: address, interval: time.Second})
	if err := <-p.ended; err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("error is %v, want one that names %s", err, address)
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	good := options{interval: time.Second, brokers: "a:9092, b:9092"}
	if err := good.check(nil); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*options){
		"-interval 0s":   func(o *options) { o.interval = 0 },
		"-duration -1s":  func(o *options) { o.duration = -time.Second },
		"-brokers a,,b:": func(o *options) { o.brokers = "a,,b" },
	} {
		bad := good
		change(&bad)
		if err := bad.check(nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one that has %s", err, want)
		}
	}
	if err := good.check([]string{"kafka"}); err == nil || !strings.Contains(err.Error(), `"kafka"`) {
		t.Errorf("with an argument: %v", err)
	}
}
