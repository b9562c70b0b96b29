package jsonscan

import (
	"bytes"
	"cmp"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// field is a field of a struct, or of a struct that is embedded in it.
type field struct {
	name   string
	tagged bool  // the name is from a tag
	index  []int // the way to the field, for reflect
	typ    reflect.Type
	plan   *plan
}

// maxLength is the length in bytes up to which names are found by their length.
const maxLength = 32

// fields finds the field for a key. Most keys of an input belong to no field, so that the
// length of a name is compared before its bytes.
type fields struct {
	all      []field // in order of their index
	byLength [maxLength + 1][]*field
	short    bool // all names are in byLength, and in ASCII
}

func newFields(all []field) fields {
	f := fields{all: all, short: true}
	for i := range all {
		name := all[i].name
		if len(name) > maxLength || !ascii([]byte(name)) {
			f.short = false
		}
		if len(name) <= maxLength {
			f.byLength[len(name)] = append(f.byLength[len(name)], &all[i])
		}
	}
	return f
}

// find returns the field with the name, or else the first one whose name is equal under
// case folding, or nil. Folding may change the length of a name that is not ASCII: K
// (U+212A, the sign of Kelvin) is equal to k.
func (f *fields) find(key []byte) *field {
	if len(key) <= maxLength {
		same := f.byLength[len(key)]
		for _, candidate := range same {
			if candidate.name == string(key) {
				return candidate
			}
		}
		if f.short && ascii(key) {
			return folded(same, key)
		}
	} else if f.short && ascii(key) {
		return nil
	}
	return f.search(key)
}

func folded(candidates []*field, key []byte) *field {
	for _, candidate := range candidates {
		if bytes.EqualFold([]byte(candidate.name), key) {
			return candidate
		}
	}
	return nil
}

// search looks at all fields.
func (f *fields) search(key []byte) *field {
	for i := range f.all {
		if f.all[i].name == string(key) {
			return &f.all[i]
		}
	}
	for i := range f.all {
		if bytes.EqualFold([]byte(f.all[i].name), key) {
			return &f.all[i]
		}
	}
	return nil
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fieldsOf returns the fields of a struct that encoding/json knows, in order of their
// index. ok is false if the struct has something that is left to encoding/json.
func fieldsOf(t reflect.Type) (found []field, ok bool) {
	c := collector{visited: map[reflect.Type]bool{}}
	if !c.collect(t, nil) {
		return nil, false
	}
	return dominant(c.found), true
}

// collector collects all fields of a struct and of the structs that are embedded in it.
type collector struct {
	visited map[reflect.Type]bool
	found   []field
}

func (c *collector) collect(t reflect.Type, index []int) bool {
	if c.visited[t] {
		return false
	}
	c.visited[t] = true
	for i := range t.NumField() {
		f := t.Field(i)
		if !visible(f) || f.Tag.Get("json") == "-" {
			continue
		}
		if !c.add(f, append(slices.Clone(index), i)) {
			return false
		}
	}
	return true
}

// visible reports whether the field can be set, or is a struct that may have such fields.
func visible(f reflect.StructField) bool {
	return f.IsExported() || f.Anonymous && structure(f.Type).Kind() == reflect.Struct
}

// structure returns what an embedded field of type t embeds: t, or what t points to.
func structure(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

func (c *collector) add(f reflect.StructField, index []int) bool {
	tag := strings.Split(f.Tag.Get("json"), ",")
	name := tag[0]
	if !usual(name) || slices.ContainsFunc(tag[1:], matters) || name != "" && !f.IsExported() {
		return false
	}
	if embedded := structure(f.Type); name == "" && f.Anonymous && embedded.Kind() == reflect.Struct {
		return !hasMethods(embedded) && c.collect(embedded, index)
	}
	c.found = append(c.found, field{
		name: cmp.Or(name, f.Name), tagged: name != "", index: index, typ: f.Type,
	})
	return true
}

// matters reports whether an option of a tag may matter to decoding. Go 1.26 has one such
// option, string. Later versions may have more.
func matters(option string) bool {
	return option != "" && option != "omitempty" && option != "omitzero"
}

// usual reports whether every character of a name in a tag is one that encoding/json
// accepts there. It accepts some others too.
func usual(name string) bool {
	for _, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("_-.:$@/ ", rune(c)) {
			return false
		}
	}
	return true
}

// dominant removes the fields that are hidden by another one with the same name: fields
// of a deeper embedded struct, and at the same depth those without a tag. If two fields
// remain, neither is used.
func dominant(found []field) []field {
	byName := map[string][]field{}
	for _, f := range found {
		byName[f.name] = append(byName[f.name], f)
	}
	var out []field
	for _, same := range byName {
		slices.SortFunc(same, stronger)
		if len(same) == 1 || stronger(same[0], same[1]) != 0 {
			out = append(out, same[0])
		}
	}
	slices.SortFunc(out, func(a, b field) int { return slices.Compare(a.index, b.index) })
	return out
}

func stronger(a, b field) int {
	if c := cmp.Compare(len(a.index), len(b.index)); c != 0 || a.tagged == b.tagged {
		return c
	}
	if a.tagged {
		return -1
	}
	return 1
}
