package integration

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is a program of this module, built once for all tests.
type program struct {
	pkg  string
	once sync.Once
	path string
	err  error
}

var worker = &program{pkg: "./worker"}

// build returns the path of the built program.
func (p *program) build(t *testing.T) string {
	t.Helper()
	p.once.Do(func() {
		dir, err := os.MkdirTemp("", "millrace-integration-")
		if err != nil {
			p.err = err
			return
		}
		p.path = filepath.Join(dir, filepath.Base(p.pkg))
		if out, err := exec.Command("go", "build", "-o", p.path, p.pkg).CombinedOutput(); err != nil {
			p.err = fmt.Errorf("go build %s: %w\n%s", p.pkg, err, out)
		}
	})
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.path
}

// patience bounds a test's wait for an event. Only a failing test takes that long.
const patience = 3 * time.Minute

// process is a running program. Its log is kept, and shown if the test fails.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of standard output; closed at the end of the process
	done  chan struct{}
	err   error // of Wait, after done
	logTo *os.File

	// closed when the process has ended, or has written a line and so handles signals
	hears chan struct{}

	mu    sync.Mutex
	wipes []string // the process's messages about wiped state
}

// start runs a program. If it is still running at the end of the test, it is killed.
func start(t *testing.T, p *program, args ...string) *process {
	t.Helper()
	return startIn(t, "", p, args...)
}

func startIn(t *testing.T, dir string, p *program, args ...string) *process {
	t.Helper()
	logTo, err := os.CreateTemp(t.TempDir(), "log-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(p.build(t), args...)
	cmd.Dir, cmd.Stderr = dir, logTo
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	proc := &process{t: t, cmd: cmd, lines: make(chan string, 1<<16), done: make(chan struct{}), logTo: logTo, hears: make(chan struct{})}
	go proc.wait(out)
	t.Cleanup(proc.cleanUp)
	return proc
}

// wait owns the process: it distributes its lines and waits for its end.
func (p *process) wait(out io.Reader) {
	scanner := bufio.NewScanner(out)
	var heard sync.Once
	for scanner.Scan() {
		heard.Do(func() { close(p.hears) })
		if rest, ok := strings.CutPrefix(scanner.Text(), "wiped "); ok {
			p.mu.Lock()
			p.wipes = append(p.wipes, rest)
			p.mu.Unlock()
			continue
		}
		select {
		case p.lines <- scanner.Text():
		default: // no test reads the line
		}
	}
	p.err = p.cmd.Wait()
	heard.Do(func() { close(p.hears) })
	close(p.lines)
	close(p.done)
}

func (p *process) cleanUp() {
	p.kill()
	defer p.logTo.Close()
	if !p.t.Failed() {
		return
	}
	if text, err := os.ReadFile(p.logTo.Name()); err == nil {
		p.t.Logf("log of process %d, its last part:\n%s", p.cmd.Process.Pid, tail(string(text), 60))
	}
}

// kill is kill -9. It returns when the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop asks the process to end. If it ends with an error, the test fails.
func (p *process) stop() {
	p.t.Helper()
	select { // a signal that arrives before the program handles it would kill it
	case <-p.hears:
	case <-time.After(patience):
		p.t.Errorf("the process has said nothing within %v", patience)
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		if p.err != nil {
			p.t.Errorf("after SIGTERM the process ended with %v", p.err)
		}
	case <-time.After(patience):
		p.t.Errorf("the process did not end within %v of SIGTERM", patience)
		p.kill()
	}
}

// ended waits until the process ends, and returns its error and its log.
func (p *process) ended() (string, error) {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("the process did not end within %v", patience)
	}
	text, err := os.ReadFile(p.logTo.Name())
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text), p.err
}

// line waits for a line of output with the prefix, and returns the rest of it.
func (p *process) line(prefix string) string {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("the process ended (%v) before it printed %q", p.err, prefix)
			}
			if rest, found := strings.CutPrefix(line, prefix); found {
				return rest
			}
		case <-timeout:
			p.t.Fatalf("the process did not print %q within %v", prefix, patience)
		}
	}
}

// generations returns the generations of the group in which the process was given tasks
// or lost them. The process must have ended, and no other call may have read its lines.
func (p *process) generations() (all []string) {
	p.t.Helper()
	for line := range p.lines {
		if rest, ok := strings.CutPrefix(line, "rebalance "); ok {
			all = append(all, strings.Fields(rest)[0])
		}
	}
	if len(all) == 0 {
		p.t.Fatal("the process was in no generation of its group")
	}
	return all
}

// wiped returns the process's messages about wiped local state.
func (p *process) wiped() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.wipes)
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
