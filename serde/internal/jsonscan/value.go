package jsonscan

import (
	"encoding/base64"
	"reflect"
	"time"
)

// value consumes a value and stores it into v as the plan says.
func (r *reader) value(p *plan, v reflect.Value) bool {
	if r.token() == 'n' && p.op != opRaw {
		return r.null(p, v)
	}
	switch p.op {
	case opString:
		return r.stringInto(v)
	case opBool:
		return r.boolInto(v)
	case opInt, opUint, opFloat, opNumber:
		return r.numberInto(p, v)
	case opAny:
		return r.anyInto(v)
	case opBytes:
		return r.bytesInto(p, v)
	case opSlice:
		return r.sliceInto(p, v)
	case opArray:
		return r.arrayInto(p, v)
	case opMap:
		return r.mapInto(p, v)
	case opStruct:
		return r.structInto(p, v)
	case opPointer:
		return r.pointerInto(p, v)
	case opTime:
		return r.timeInto(v)
	default:
		return r.rawInto(v)
	}
}

func (r *reader) null(p *plan, v reflect.Value) bool {
	switch p.op {
	case opAny, opBytes, opSlice, opMap, opPointer:
		v.SetZero()
	}
	return r.literal("null")
}

func (r *reader) stringInto(v reflect.Value) bool {
	if r.token() != '"' {
		return false
	}
	text, ok := r.text()
	if ok {
		v.SetString(string(text))
	}
	return ok
}

func (r *reader) boolInto(v reflect.Value) bool {
	if r.token() == 't' {
		v.SetBool(true)
		return r.literal("true")
	}
	v.SetBool(false)
	return r.literal("false")
}

func (r *reader) numberInto(p *plan, v reflect.Value) bool {
	number, ok := r.number()
	if !ok {
		return false
	}
	switch p.op {
	case opInt:
		n, ok := parseInt(number)
		v.SetInt(n)
		return ok && v.Int() == n
	case opUint:
		n, ok := parseUint(number)
		v.SetUint(n)
		return ok && v.Uint() == n
	case opFloat:
		f, ok := parseFloat(number, v.Type().Bits())
		v.SetFloat(f)
		return ok
	default:
		v.SetString(string(number))
		return true
	}
}

func (r *reader) bytesInto(p *plan, v reflect.Value) bool {
	if r.token() != '"' {
		return r.sliceInto(p, v)
	}
	text, ok := r.text()
	if !ok {
		return false
	}
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(decoded, text)
	v.SetBytes(decoded[:n])
	return err == nil
}

// sliceInto is in doubt if the slice is already set: encoding/json decodes into the old
// elements then.
func (r *reader) sliceInto(p *plan, v reflect.Value) bool {
	if !v.IsNil() || !r.enter('[') {
		return false
	}
	n := 0
	for ; r.next(n == 0, ']'); n++ {
		if n == v.Cap() {
			v.Grow(max(1, p.room-n))
		}
		v.SetLen(n + 1)
		if !r.value(p.elem, v.Index(n)) {
			return false
		}
	}
	if n == 0 {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	}
	return r.leave()
}

func (r *reader) arrayInto(p *plan, v reflect.Value) bool {
	if !r.enter('[') {
		return false
	}
	n := 0
	for ; r.next(n == 0, ']'); n++ {
		if n < v.Len() && !r.value(p.elem, v.Index(n)) || n >= v.Len() && !r.skip() {
			return false
		}
	}
	for ; n < v.Len(); n++ {
		v.Index(n).SetZero()
	}
	return r.leave()
}

func (r *reader) mapInto(p *plan, v reflect.Value) bool {
	if !r.enter('{') {
		return false
	}
	t := v.Type()
	if v.IsNil() {
		v.Set(reflect.MakeMap(t))
	}
	name, elem := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
	for first := true; r.next(first, '}'); first = false {
		key, ok := r.key()
		if !ok {
			return false
		}
		name.SetString(string(key))
		elem.SetZero()
		if !r.value(p.elem, elem) {
			return false
		}
		v.SetMapIndex(name, elem)
	}
	return r.leave()
}

func (r *reader) structInto(p *plan, v reflect.Value) bool {
	if !r.enter('{') {
		return false
	}
	for first := true; r.next(first, '}'); first = false {
		key, ok := r.key()
		if !ok {
			return false
		}
		if f := p.fields.find(key); f == nil {
			ok = r.skip()
		} else {
			ok = r.fieldInto(f, v)
		}
		if !ok {
			return false
		}
	}
	return r.leave()
}

// fieldInto is in doubt about a pointer to an embedded struct that cannot be set, because
// its type is not exported.
func (r *reader) fieldInto(f *field, v reflect.Value) bool {
	for _, i := range f.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				if !v.CanSet() {
					return false
				}
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return r.value(f.plan, v)
}

func (r *reader) pointerInto(p *plan, v reflect.Value) bool {
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
	}
	return r.value(p.elem, v.Elem())
}

func (r *reader) timeInto(v reflect.Value) bool {
	raw, ok := r.raw()
	return ok && v.Addr().Interface().(*time.Time).UnmarshalJSON(raw) == nil
}

func (r *reader) rawInto(v reflect.Value) bool {
	raw, ok := r.raw()
	if ok {
		v.SetBytes(append([]byte{}, raw...))
	}
	return ok
}
