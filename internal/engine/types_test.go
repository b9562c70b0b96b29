package engine

import (
	"reflect"
	"strings"
	"testing"
)

// TestTypesOfStores follows the types that a store's type leads to. A program compiles
// the generic ones among them again, so none may be there that it does not need.
func TestTypesOfStores(t *testing.T) {
	t.Parallel()
	seen := map[reflect.Type]bool{}
	var visit func(from string, of reflect.Type)
	visit = func(from string, of reflect.Type) {
		if seen[of] {
			return
		}
		seen[of] = true
		from += " > " + of.String()
		switch path := of.PkgPath(); {
		case strings.Contains(of.Name(), "[") && path != "sync/atomic":
			t.Errorf("a generic type:%s", from)
		case strings.Contains(path, "cockroachdb/pebble") && !strings.HasSuffix(path, "/vfs"):
			t.Errorf("a type of Pebble:%s", from)
		}
		for m := range of.NumMethod() {
			signature := of.Method(m).Type
			for i := range signature.NumIn() {
				visit(from, signature.In(i))
			}
			for i := range signature.NumOut() {
				visit(from, signature.Out(i))
			}
		}
		switch of.Kind() {
		case reflect.Map:
			visit(from, of.Key())
			visit(from, of.Elem())
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
			visit(from, of.Elem())
		case reflect.Struct:
			for i := range of.NumField() {
				visit(from, of.Field(i).Type)
			}
		}
	}
	visit("", reflect.TypeFor[*Env]())
	visit("", reflect.TypeFor[*TableBatch]())
	visit("", reflect.TypeFor[*Reader]())
}
