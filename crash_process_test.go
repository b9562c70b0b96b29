package millrace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	rt "github.com/millrace-streams/millrace/internal/runtime"
	"github.com/millrace-streams/millrace/internal/txn"
)

// process is one process of the application, through all its lives. Its databases are in
// a file system that knows which data is synced.
type process struct {
	w    *world
	name string
	rng  *rand.Rand
	base string // of the names of its directories
	dir  string
	dirs int // that were left behind

	mu   sync.Mutex
	plan []mishap
	due  time.Time // when the first mishap of the plan is given up
	life *life     // the last one
	fs   *disk
	dead sync.WaitGroup // lives that were ended and still clean up, without effect
}

// life is a process between its start and its end.
type life struct {
	p     *process
	app   *App
	line  *line
	fs    *disk
	began time.Time
	stop  context.CancelFunc
	ended chan struct{} // closed when it was killed, or Run has returned
	err   error         // of Run

	migrated bool // it runs the version that migrates

	once    sync.Once
	killed  bool      // guarded by p.mu
	commits sync.Once // the first one
}

func newProcess(w *world, index int, dir string) *process {
	p := &process{
		w: w, name: fmt.Sprint(index), rng: rand.New(rand.NewPCG(w.seed, uint64(index)+100)),
		base: filepath.Join(dir, fmt.Sprint(index)), fs: newDisk(),
	}
	p.dir = p.base
	if w.plan != nil {
		p.plan = w.plan(p.rng, index)
		w.planned.Add(int64(len(p.plan)))
	}
	return p
}

// run starts one life after another until the world ends.
func (p *process) run() {
	for p.w.ctx.Err() == nil {
		l := p.start()
		select {
		case <-l.ended:
		case <-p.w.ctx.Done():
			l.stop()
			<-l.ended
		}
		if !l.migrated {
			p.w.leave()
		}
		p.mu.Lock()
		killed := l.killed || l.err != nil && !l.migrated && p.w.outdated(l.err)
		away := time.Duration(p.rng.IntN(300)) * time.Millisecond
		if p.rng.IntN(6) == 0 {
			away += crashSession
		}
		p.mu.Unlock()
		if !killed && l.err != nil {
			p.w.violation("process %s: %v", p.name, l.err)
			break
		}
		pause(p.w.ctx, away)
	}
	p.dead.Wait()
}

const (
	crashSession = 1500 * time.Millisecond

	// crashRebalance is short. Unlike Kafka, kfake uses it, and not the session timeout,
	// to bound the wait for a member that died during a rebalance.
	crashRebalance = 2 * time.Second
	crashPurge     = 200 * time.Millisecond
)

// start begins a life.
func (p *process) start() *life {
	migrated := p.w.enter()
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &life{p: p, migrated: migrated, line: newLine(p.w.cluster.Net.DialContext), fs: p.fs, began: time.Now(), ended: make(chan struct{})}
	p.due = l.began.Add(mishapPatience)
	topo, err := crashTopology(migrated, func() { l.at(inProcessing) })
	if err != nil {
		panic(err)
	}
	l.app, err = New(topo, Config{
		ApplicationID: crashApp, Brokers: []string{"127.0.0.1:9092"}, StateDir: p.dir, Workers: p.w.workers, CommitInterval: p.w.commitInterval, Guarantee: p.w.guarantee,
		SessionTimeout: p.w.session, TransactionTimeout: p.w.transactionTimeout, CloseTimeout: 20 * time.Second,
		ClientOptions: []kgo.Opt{kgo.Dialer(l.line.DialContext)}, Hooks: []Hook{watcher{l}}, Logger: p.w.logger(p.name),
	})
	if err != nil {
		panic(err)
	}
	l.app.seams = rt.Seams{Step: l.step, FS: p.fs, Mistake: p.w.mistake, NoShortcuts: p.w.noShortcuts(), NoCombining: p.w.noCombining(), SweepRows: p.w.sweepRows(), RebalanceTimeout: crashRebalance, PurgeEvery: crashPurge}
	var ctx context.Context
	ctx, l.stop = context.WithCancel(context.Background())
	p.life = l
	p.dead.Go(func() {
		err := l.app.Run(ctx)
		l.end(func() { l.err = err })
		l.stop()
		p.w.note("process %s: Run returned %v", p.name, err)
		if err != nil && strings.Contains(err.Error(), "CloseTimeout") {
			p.w.violation("process %s: %v", p.name, err)
			stacks := make([]byte, 8<<20)
			p.w.note("%s", stacks[:runtime.Stack(stacks, true)])
		}
	})
	return l
}

// stopOld ends the life of the process gracefully if it runs the first version.
func (p *process) stopOld() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life != nil && !p.life.migrated {
		p.life.stop()
	}
}

// end ends the life once. Only the first call runs f.
func (l *life) end(f func()) {
	l.once.Do(func() {
		f()
		close(l.ended)
	})
}

// kill ends the life like kill -9, or like a power failure if some unsynced data is lost.
// From now on its actions have no effect. Its remaining goroutines are told to stop.
func (l *life) kill(keep int) {
	l.end(func() {
		p := l.p
		l.line.sever()
		p.mu.Lock()
		defer p.mu.Unlock()
		l.killed = true
		syncDirs(l.fs, string(filepath.Separator))
		p.fs = l.fs.crash(keep, p.rng)
		p.leaveDir(true)
		l.stop()
		if s := l.app.started(); s != nil {
			s.Kill()
		}
	})
}

// disk is a file system that knows which data is synced.
type disk struct {
	*vfs.MemFS
	// crashing is held while the disk is cloned for a crash. Two methods of vfs.MemFS
	// take the lock that CrashClone waits for twice, and would deadlock with it.
	crashing sync.RWMutex
}

func newDisk() *disk { return &disk{MemFS: vfs.NewCrashableMem()} }

// crash returns the disk as a power failure leaves it: only keep percent of the unsynced
// data survive.
func (d *disk) crash(keep int, rng *rand.Rand) *disk {
	d.crashing.Lock()
	defer d.crashing.Unlock()
	return &disk{MemFS: d.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: rng})}
}

// Lock implements vfs.FS.
func (d *disk) Lock(name string) (io.Closer, error) {
	d.crashing.RLock()
	defer d.crashing.RUnlock()
	return d.MemFS.Lock(name)
}

// ReuseForWrite implements vfs.FS.
func (d *disk) ReuseForWrite(from, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	d.crashing.RLock()
	defer d.crashing.RUnlock()
	return d.MemFS.ReuseForWrite(from, name, category)
}

// syncDirs makes the directories of databases survive a crash. Each database syncs its
// own files.
func syncDirs(fs vfs.FS, path string) {
	dir, err := fs.OpenDir(path)
	if err != nil {
		panic(err)
	}
	defer dir.Close()
	names, err := fs.List(path)
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		child := fs.PathJoin(path, name)
		if info, err := fs.Stat(child); err != nil || !info.IsDir() {
			return
		}
	}
	if err := dir.Sync(); err != nil {
		panic(err)
	}
	for _, name := range names {
		syncDirs(fs, fs.PathJoin(path, name))
	}
}

// leaveDir leaves the state directory and its lock to the dead life. The process
// continues with a copy under another name or, if the disk is lost, with nothing.
func (p *process) leaveDir(keep bool) {
	left := p.dir
	p.dirs++
	p.dir = fmt.Sprintf("%s.%d", p.base, p.dirs)
	if !keep {
		return
	}
	if err := os.CopyFS(p.dir, os.DirFS(left)); err != nil {
		panic(err)
	}
	if _, err := p.fs.Stat(left); err == nil {
		if err := p.fs.Rename(left, p.dir); err != nil {
			panic(err)
		}
	}
}

// alive reports whether the process is still in this life.
func (l *life) alive() bool {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	return !l.killed
}

var errKilled = errors.New("killed by the test")

// step is the seam between the steps of a commit.
func (l *life) step(_ int, s txn.Step) error {
	l.at(place(s))
	if !l.alive() {
		return errKilled
	}
	return nil
}

// watcher turns the calls of an App's hooks into places.
type watcher struct{ l *life }

func (h watcher) OnCommit(c Commit) {
	if !h.l.alive() {
		return
	}
	w := h.l.p.w
	w.mu.Lock()
	if c.Err == nil {
		w.commits++
		h.l.commits.Do(func() { w.comebacks = append(w.comebacks, time.Since(h.l.began)) })
	} else {
		w.aborts++
	}
	w.mu.Unlock()
	if c.Err == nil {
		h.l.at(afterApply)
	}
}

func (h watcher) OnRestoreProgress(p RestoreProgress) {
	h.l.at(inRestore)
	w := h.l.p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.Done {
		w.restored++
	}
}

func (h watcher) OnRebalance(r Rebalance) {
	if len(r.Revoked) > 0 {
		h.l.at(atRevocation)
	} else {
		h.l.at(atAssignment)
	}
}

func (h watcher) OnStateWiped(s StateWiped) {
	if h.l.alive() {
		h.l.p.w.violation("process %s: store %s of task %v was wiped: %s", h.l.p.name, s.Store, s.Task, s.Reason)
	}
}
