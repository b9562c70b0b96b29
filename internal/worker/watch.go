package worker

import (
	"bytes"
	"runtime"
	"sync/atomic"
	"time"
)

// watch tells a watchdog which task the worker is working on, and since when.
type watch struct{ current atomic.Pointer[busy] }

type busy struct {
	task  *Task
	since time.Time
}

func (w *watch) begin(t *Task, now time.Time) { w.current.Store(&busy{t, now}) }
func (w *watch) end()                         { w.current.Store(nil) }

// Busy returns the task whose records the worker is processing, and when that call began.
// t is nil if there is none.
func (w *Worker) Busy() (t *Task, since time.Time) {
	if b := w.watch.current.Load(); b != nil {
		return b.task, b.since
	}
	return nil, time.Time{}
}

const maxStacks = 1 << 20

// Stack returns the stack of the worker's goroutine. It shows which user code is running.
func (w *Worker) Stack() string {
	header, _ := w.goroutine.Load().([]byte)
	if header == nil {
		return ""
	}
	stacks := make([]byte, maxStacks)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if bytes.HasPrefix(stack, header) {
			return string(stack)
		}
	}
	return ""
}

// ownHeader returns the beginning of the calling goroutine's stack: "goroutine 7 ".
func ownHeader() []byte {
	buf := make([]byte, 64)
	buf = buf[:runtime.Stack(buf, false)]
	end := bytes.IndexByte(buf, '[')
	return buf[:max(end, 0)]
}
