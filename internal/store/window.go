package store

import (
	"fmt"
	"math"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
)

// Window is the kind of the stores of package windowstore: rows by key and window start,
// in the layout [WindowLayout].
var Window = &Kind{
	Name:      "window",
	Noun:      "window store",
	Changelog: WindowedChangelog,
	Segmented: true,
	Migrates:  true,
	rowKey:    windowRowKey,
	queryKey:  windowQueryKey,
	windows:   windowsByStart,
	logged:    loggedWindow,
	restore:   restoreWindow,
}

// restoreWindow restores a row of a window store.
func restoreWindow(s *Spec, b *engine.TableBatch, key []byte, row engine.Stored) error {
	if _, err := loggedWindow(s, key); err != nil {
		return err
	}
	interval, err := b.Interval(s.Segments())
	if err != nil {
		return err
	}
	local, err := NewWindowLayout(interval).AppendLocal(nil, key)
	if err != nil {
		return err
	}
	return restoreRow(s, b, local, row)
}

// CheckWindows returns what is wrong with the times of a window store.
func CheckWindows(s *Spec) (errs []error) {
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: "+format, append([]any{s}, args...)...))
	}
	switch {
	case s.WindowSize < time.Millisecond:
		wrong("the window size %v must be at least one millisecond", s.WindowSize)
	case !wholeMilliseconds(s.WindowSize):
		wrong("the window size %v must be a whole number of milliseconds", s.WindowSize)
	}
	switch {
	case s.Retention < s.WindowSize:
		wrong("the retention %v must be at least the window size %v", s.Retention, s.WindowSize)
	case !wholeMilliseconds(s.Retention):
		wrong("the retention %v must be a whole number of milliseconds", s.Retention)
	}
	return errs
}

// wholeMilliseconds reports whether d can be told in milliseconds. The longest Duration
// stands for one without end.
func wholeMilliseconds(d time.Duration) bool { return d%time.Millisecond == 0 || d == math.MaxInt64 }
