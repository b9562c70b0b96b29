package engine

// Reads counts what the task asks its tables for. It is for tests: an algorithm that
// promises not to scan can be held to it, which a measurement of time cannot do reliably.
// A nil Reads counts nothing.
type Reads struct {
	Gets  int // rows that were looked up, unless the filter of keys has answered
	Scans int // iterators that were made
	Rows  int // rows that iterators and range reads were at
}

func (r *Reads) get() {
	if r != nil {
		r.Gets++
	}
}

func (r *Reads) scan() {
	if r != nil {
		r.Scans++
	}
}

func (r *Reads) row(ok bool) {
	if r != nil && ok {
		r.Rows++
	}
}
