package jsonscan

import "reflect"

// anyInto stores into an interface what encoding/json stores there: nil, a bool, a
// float64, a string, a []any or a map[string]any.
func (r *reader) anyInto(v reflect.Value) bool {
	decoded, ok := r.any()
	if !ok {
		return false
	}
	if decoded == nil {
		v.SetZero()
		return true
	}
	v.Set(reflect.ValueOf(decoded))
	return true
}

func (r *reader) any() (decoded any, ok bool) {
	switch r.token() {
	case '"':
		text, ok := r.text()
		return string(text), ok
	case '{':
		return r.anyObject()
	case '[':
		return r.anyArray()
	case 't':
		return true, r.literal("true")
	case 'f':
		return false, r.literal("false")
	case 'n':
		return nil, r.literal("null")
	}
	number, ok := r.number()
	if !ok {
		return nil, false
	}
	return parseFloat(number, 64)
}

func (r *reader) anyObject() (decoded any, ok bool) {
	if !r.enter('{') {
		return nil, false
	}
	m := map[string]any{}
	for first := true; r.next(first, '}'); first = false {
		text, ok := r.key()
		if !ok {
			return nil, false
		}
		key := string(text)
		if m[key], ok = r.any(); !ok {
			return nil, false
		}
	}
	return m, r.leave()
}

func (r *reader) anyArray() (decoded any, ok bool) {
	if !r.enter('[') {
		return nil, false
	}
	s := []any{}
	for first := true; r.next(first, ']'); first = false {
		element, ok := r.any()
		if !ok {
			return nil, false
		}
		s = append(s, element)
	}
	return s, r.leave()
}
