package jsonscan

import (
	"encoding"
	"encoding/json"
	"reflect"
	"time"
)

// op says how a value of a type is decoded.
type op uint8

const (
	opString op = iota
	opBool
	opInt
	opUint
	opFloat
	opNumber  // json.Number
	opAny     // an interface without methods
	opBytes   // a slice of bytes: base64, or an array of numbers
	opSlice   // any other slice
	opArray   // an array of Go
	opMap     // a map with keys of kind string
	opStruct  // the fields that the plan has
	opPointer // a new value that the pointer points to
	opTime    // time.Time
	opRaw     // json.RawMessage
)

// plan is what is known about a type before the first input. A plan never changes, and it
// contains itself if its type is recursive.
type plan struct {
	op     op
	elem   *plan  // of slices, arrays, maps, pointers
	fields fields // of structs
	room   int    // the capacity of a slice that gets its first element
}

var (
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// special lists the types whose methods are known to be without effects on anything else,
// and json.Number, which encoding/json knows by its type too.
var special = map[reflect.Type]op{
	reflect.TypeFor[json.Number]():     opNumber,
	reflect.TypeFor[time.Time]():       opTime,
	reflect.TypeFor[json.RawMessage](): opRaw,
}

var plain = map[reflect.Kind]op{
	reflect.String: opString,
	reflect.Bool:   opBool,
	reflect.Int:    opInt, reflect.Int8: opInt, reflect.Int16: opInt, reflect.Int32: opInt, reflect.Int64: opInt,
	reflect.Uint: opUint, reflect.Uint8: opUint, reflect.Uint16: opUint, reflect.Uint32: opUint, reflect.Uint64: opUint,
	reflect.Float32: opFloat, reflect.Float64: opFloat,
}

// planOf returns the plan for a type, or nil if there is none.
func planOf(t reflect.Type) *plan {
	return planner{}.plan(t)
}

// planner has the plans of the types that were met, complete or not.
type planner map[reflect.Type]*plan

func (m planner) plan(t reflect.Type) *plan {
	if p, met := m[t]; met {
		return p
	}
	p := &plan{}
	m[t] = p
	if !m.fill(p, t) {
		return nil
	}
	return p
}

// fill reports whether p is now the plan for t. If it is not, the types around t have no
// plan either.
func (m planner) fill(p *plan, t reflect.Type) bool {
	if known, ok := special[t]; ok {
		p.op = known
		return true
	}
	if hasMethods(t) {
		return false
	}
	if known, ok := plain[t.Kind()]; ok {
		p.op = known
		return true
	}
	switch t.Kind() {
	case reflect.Interface:
		p.op = opAny
		return t.NumMethod() == 0
	case reflect.Struct:
		p.op = opStruct
		return m.fillStruct(p, t)
	case reflect.Map:
		p.op = opMap
		return t.Key().Kind() == reflect.String && !hasMethods(t.Key()) && m.fillElem(p, t)
	case reflect.Slice:
		p.op = opSlice
		if t.Elem().Kind() == reflect.Uint8 {
			p.op = opBytes
		}
		p.room = firstRoom(t.Elem().Size())
		return m.fillElem(p, t)
	case reflect.Array:
		p.op = opArray
		return m.fillElem(p, t)
	case reflect.Pointer:
		p.op = opPointer
		return m.fillElem(p, t)
	}
	return false
}

func (m planner) fillElem(p *plan, t reflect.Type) bool {
	p.elem = m.plan(t.Elem())
	return p.elem != nil
}

func (m planner) fillStruct(p *plan, t reflect.Type) bool {
	found, ok := fieldsOf(t)
	if !ok {
		return false
	}
	for i := range found {
		if found[i].plan = m.plan(found[i].typ); found[i].plan == nil {
			return false
		}
	}
	p.fields = newFields(found)
	return true
}

// hasMethods reports whether encoding/json may call methods to decode a value of type t.
// Go 1.27 may call the method of encoding/json/v2 too.
func hasMethods(t reflect.Type) bool {
	if t.Kind() != reflect.Interface {
		t = reflect.PointerTo(t) // has the methods of t too
	}
	_, v2 := t.MethodByName("UnmarshalJSONFrom")
	return v2 || t.Implements(unmarshaler) || t.Implements(textUnmarshaler)
}

// firstRoom returns the capacity of a new slice: one element, or several if they are
// small. A slice that grows from one element would be allocated several times.
func firstRoom(size uintptr) int {
	const small = 64
	return int(max(1, small/max(1, size)))
}
