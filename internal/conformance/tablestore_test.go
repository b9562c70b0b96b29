package conformance

import (
	"encoding/json"
	"errors"
	"testing"
)

// A processor that writes the store of a table is a departure. One that only reads it is
// not there yet, and a store that nobody has is a mistake of the case.
func TestProcessorsWithTheStoreOfATable(t *testing.T) {
	t.Parallel()
	b := &builder{c: &testCase{Topology: []op{{"op": "table", "materialized": map[string]any{"name": "rows"}}}}}
	processor := func(kind string) op { return op{"kind": kind} }
	says := func(commands ...string) {
		b.c.Steps = nil
		for _, command := range commands {
			text, err := json.Marshal(command)
			if err != nil {
				t.Fatal(err)
			}
			b.c.Steps = append(b.c.Steps, step{Value: text})
		}
	}
	var missing *notYetError
	if err := b.noStore("rows", processor("count")); !errors.Is(err, errTableWritten) {
		t.Errorf("a processor that counts: %v", err)
	}
	for _, command := range []string{"put k v", "putIfAbsent k v", "putAll k v", "delete k", "remove k 1 2"} {
		if says("get k", command); !errors.Is(b.noStore("rows", processor("store-cmd")), errTableWritten) {
			t.Errorf("%s is not a write", command)
		}
	}
	says("get k", "all")
	if err := b.noStore("rows", processor("store-cmd")); !errors.As(err, &missing) {
		t.Errorf("a processor that reads: %v", err)
	}
	if err := b.noStore("other", processor("count")); !errors.Is(err, errUnknown) {
		t.Errorf("an unknown store: %v", err)
	}
	refused := &subject{b.c, &observed{buildErr: b.noStore("rows", processor("count"))}}
	if !tablesAreRead(refused, difference{aspect: inBuild}) || tablesAreRead(&subject{b.c, &observed{buildErr: errUnknown}}, difference{aspect: inBuild}) {
		t.Error("the rule does not recognise the refusal, or another one")
	}
}
