package jsonscan

// maxDepth is the number of nested arrays and objects above which Decode is in doubt. It
// bounds the stack.
const maxDepth = 500

// reader reads an input from left to right. A method that returns false is in doubt, and
// the reader is then of no use.
type reader struct {
	data    []byte
	pos     int // of the next byte
	depth   int // how many arrays and objects are open
	bad     bool
	scratch []byte // the last string that had escapes
}

// maxScratch is the capacity above which scratch is not kept for the next input.
const maxScratch = 1 << 16

func (r *reader) reset(data []byte) {
	scratch := r.scratch[:0]
	if cap(scratch) > maxScratch {
		scratch = nil
	}
	*r = reader{data: data, scratch: scratch}
}

// token skips white space and returns the next byte, which it does not consume. It
// returns 0 at the end of the input. No value begins with 0.
func (r *reader) token() byte {
	for r.pos < len(r.data) {
		c := r.data[r.pos]
		if c > ' ' || c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c
		}
		r.pos++
	}
	return 0
}

// atEnd reports whether only white space follows.
func (r *reader) atEnd() bool {
	r.token()
	return r.pos == len(r.data)
}

// enter consumes the byte that opens an array or object.
func (r *reader) enter(open byte) bool {
	if r.token() != open {
		return false
	}
	r.pos++
	r.depth++
	return r.depth <= maxDepth
}

// next moves to the next element of an array, or member of an object. It returns false
// behind the last one, and if something else follows. leave tells these cases apart.
func (r *reader) next(first bool, end byte) bool {
	c := r.token()
	if c == end {
		r.pos++
		return false
	}
	if first {
		return true
	}
	r.pos++
	r.bad = r.bad || c != ','
	return !r.bad
}

// leave ends a loop over next, and reports whether the array or object was complete.
func (r *reader) leave() bool {
	r.depth--
	return !r.bad
}

// key consumes the key of a member and the colon. The key is valid until the next string
// is read.
func (r *reader) key() (key []byte, ok bool) {
	if r.token() != '"' {
		return nil, false
	}
	if key, ok = r.text(); !ok || r.token() != ':' {
		return nil, false
	}
	r.pos++
	return key, true
}

// literal consumes null, true or false.
func (r *reader) literal(word string) bool {
	end := r.pos + len(word)
	if end > len(r.data) || string(r.data[r.pos:end]) != word {
		return false
	}
	r.pos = end
	return true
}

// raw consumes a value and returns its bytes, which belong to the input.
func (r *reader) raw() (value []byte, ok bool) {
	r.token()
	start := r.pos
	if !r.skip() {
		return nil, false
	}
	return r.data[start:r.pos], true
}

// skip consumes a value.
func (r *reader) skip() bool {
	switch r.token() {
	case '"':
		return r.skipText()
	case '{':
		return r.skipObject()
	case '[':
		return r.skipArray()
	case 't':
		return r.literal("true")
	case 'f':
		return r.literal("false")
	case 'n':
		return r.literal("null")
	}
	_, ok := r.number()
	return ok
}

func (r *reader) skipObject() bool {
	if !r.enter('{') {
		return false
	}
	for first := true; r.next(first, '}'); first = false {
		if r.token() != '"' || !r.skipText() || r.token() != ':' {
			return false
		}
		r.pos++
		if !r.skip() {
			return false
		}
	}
	return r.leave()
}

func (r *reader) skipArray() bool {
	if !r.enter('[') {
		return false
	}
	for first := true; r.next(first, ']'); first = false {
		if !r.skip() {
			return false
		}
	}
	return r.leave()
}
