package serde

import (
	"bytes"
	"reflect"
	"unicode/utf8"
)

// replacement is what encoding/json writes for each byte of a string that is not UTF-8.
// It writes U+FFFD itself without an escape.
var replacement = []byte(`\ufffd`)

// replaced reports whether encoding/json replaced bytes of a string of v. The encoding of
// v tells in nearly all cases. A json.RawMessage and the result of a MarshalJSON method
// may hold the escape by themselves, so then v is searched.
func replaced[T any](encoding []byte, v T) bool {
	return bytes.Contains(encoding, replacement) && malformed(reflect.ValueOf(v))
}

// malformed reports whether a string that encoding/json would write is not UTF-8.
func malformed(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return !utf8.ValidString(v.String())
	case reflect.Pointer, reflect.Interface:
		return malformed(v.Elem())
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if malformed(v.Index(i)) {
				return true
			}
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			if malformed(entries.Key()) || malformed(entries.Value()) {
				return true
			}
		}
	case reflect.Struct:
		return malformedField(v)
	}
	return false
}

func malformedField(v reflect.Value) bool {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		written := field.IsExported() || field.Anonymous
		if written && field.Tag.Get("json") != "-" && malformed(v.Field(i)) {
			return true
		}
	}
	return false
}
