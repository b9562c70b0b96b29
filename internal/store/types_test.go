package store_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/store/storetest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/sessionstore"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/versionedstore"
	"github.com/millrace-streams/millrace/windowstore"
)

// TestTypesOfInstances follows the types that the instance of a store leads to. A program
// compiles the generic ones among them for the types of each of its tables.
func TestTypesOfInstances(t *testing.T) {
	t.Parallel()
	shared := []string{"engine.Cell", "engine.Cells", "engine.change", "serde.Optional", "serde.Serde", "store.Core"}
	for _, c := range []struct {
		spec processor.StoreSpec
		more []string // generic types, beside the shared ones
	}{
		{state.KeyValue("st", serde.String, serde.Int64), nil},
		{versionedstore.New("st", serde.String, serde.Int64, time.Hour), []string{"store.Versions"}},
		{windowstore.New("st", serde.String, serde.Int64, time.Second, time.Hour), []string{"store.Expiring", "windowstore.core"}},
		{sessionstore.New("st", serde.String, serde.Int64, time.Hour), []string{"sessionstore.core", "store.Expiring"}},
	} {
		instance := reflect.TypeOf(storetest.New(t, 0).Open(c.spec))
		found := map[string]bool{}
		generic(instance, map[reflect.Type]bool{}, found)
		want := slices.Sorted(slices.Values(slices.Concat(shared, c.more)))
		if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, want) {
			t.Errorf("%v leads to the generic types %q, want %q", instance, got, want)
		}
	}
}

// generic adds the names of this module's types that a type leads to and whose type
// arguments are those of the store.
func generic(of reflect.Type, seen map[reflect.Type]bool, found map[string]bool) {
	if seen[of] {
		return
	}
	seen[of] = true
	_, args, _ := strings.Cut(of.Name(), "[")
	if strings.Contains(of.PkgPath(), "millrace") && (strings.Contains(args, "string") || strings.Contains(args, "int64")) {
		name, _, _ := strings.Cut(of.String(), "[")
		found[name] = true
	}
	switch of.Kind() {
	case reflect.Map:
		generic(of.Key(), seen, found)
		generic(of.Elem(), seen, found)
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
		generic(of.Elem(), seen, found)
	case reflect.Struct:
		for i := range of.NumField() {
			generic(of.Field(i).Type, seen, found)
		}
	}
	for m := range of.NumMethod() {
		signature := of.Method(m).Type
		for i := range signature.NumIn() {
			generic(signature.In(i), seen, found)
		}
		for i := range signature.NumOut() {
			generic(signature.Out(i), seen, found)
		}
	}
}
