package millrace

import (
	"reflect"
	"testing"
)

// What has not moved since it was purged is not purged again.
func TestOffsetsSince(t *testing.T) {
	t.Parallel()
	purged := offsets{}
	first := offsets{"a": {0: 5, 1: 0}, "b": {0: 2}}
	if got, want := first.since(purged), (offsets{"a": {0: 5}, "b": {0: 2}}); !reflect.DeepEqual(got, want) {
		t.Errorf("at first %v, want %v", got, want)
	}
	purged.raise(first)
	if got := first.since(purged); len(got) > 0 {
		t.Errorf("unchanged, and %v", got)
	}
	next := offsets{"a": {0: 4, 1: 3}, "b": {0: 2, 7: 1}}
	if got, want := next.since(purged), (offsets{"a": {1: 3}, "b": {7: 1}}); !reflect.DeepEqual(got, want) {
		t.Errorf("next %v, want %v", got, want)
	}
}
