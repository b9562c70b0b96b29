package engine

import (
	"cmp"
	"slices"
	"unsafe"
)

// WindowList lists some windows of one key: all that start at From or later, by start. An
// operator of sliding windows finds the windows of a record there. It then reads only the
// rows that the record changes.
type WindowList struct {
	From    int64 // ms
	Windows []ListedWindow
}

// ListedWindow is a window that has a row.
type ListedWindow struct {
	Start, Last int64 // ms; Last is the timestamp of its last record
	Mark        Mark  // of its row
}

// Since returns the windows that start at from or later. They are valid until the list
// changes.
func (l *WindowList) Since(from int64) []ListedWindow {
	i, _ := l.find(from)
	return l.Windows[i:]
}

// Find returns the window with the start.
func (l *WindowList) Find(start int64) (w ListedWindow, ok bool) {
	i, ok := l.find(start)
	if ok {
		w = l.Windows[i]
	}
	return w, ok
}

// Has reports whether there is a window with the start.
func (l *WindowList) Has(start int64) bool {
	_, ok := l.find(start)
	return ok
}

// Set adds a window, or changes it.
func (l *WindowList) Set(w ListedWindow) {
	i, ok := l.find(w.Start)
	if !ok {
		l.Windows = slices.Insert(l.Windows, i, w)
	}
	l.Windows[i] = w
}

// Remove removes a window.
func (l *WindowList) Remove(start int64) {
	if i, ok := l.find(start); ok {
		l.Windows = slices.Delete(l.Windows, i, i+1)
	}
}

// find returns the index of the first window that starts at start or later, and whether
// it starts there.
func (l *WindowList) find(start int64) (i int, ok bool) {
	if n := len(l.Windows); n == 0 || l.Windows[n-1].Start < start {
		return n, false // most windows are added at the end
	}
	return slices.BinarySearchFunc(l.Windows, start, func(w ListedWindow, start int64) int {
		return cmp.Compare(w.Start, start)
	})
}

// Cut drops the windows that start before a time, if they are more than half of all.
func (l *WindowList) Cut(before int64) {
	if n, _ := l.find(before); n > len(l.Windows)/2 {
		l.Windows = slices.Delete(l.Windows, 0, n)
		l.From = max(l.From, before)
	}
}

// Bytes returns the memory of the windows.
func (l *WindowList) Bytes() int64 {
	return int64(cap(l.Windows)) * int64(unsafe.Sizeof(ListedWindow{}))
}
