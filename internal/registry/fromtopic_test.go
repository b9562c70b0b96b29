package registry

import (
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/registrytopic"
)

// The choice of the topic of a table as its changelog is kept, and a changed one is
// refused. If the store is gone, nothing is lost.
func TestFromTopic(t *testing.T) {
	t.Parallel()
	own := Record{Store: "users", Application: "a", Kind: KeyValue, Changelog: "a-users-changelog"}
	from := Record{Store: "users", Application: "a", Kind: KeyValue, FromTopic: "users"}
	unlogged := Record{Store: "users", Application: "a", Kind: KeyValue}
	absent := from
	absent.Absent = true

	value, err := from.encode()
	if err != nil || !strings.Contains(string(value), `"version":2`) {
		t.Errorf("%s, %v", value, err)
	}
	if e, err := decode([]byte(registrytopic.Store.Key("users")), value); err != nil || e.store.FromTopic != "users" || e.store.Newer {
		t.Errorf("got %+v, %v", e.store, err)
	}
	for _, test := range []struct {
		was    Record
		now    []Record
		says   string // "": it fits
		topics string // that hold the rows
	}{
		{from, []Record{from}, "", ""},
		{from, []Record{own}, "use topology.SourceAsChangelog again", "users"},
		{from, []Record{unlogged}, "use topology.SourceAsChangelog again", "users"},
		{own, []Record{from}, "remove topology.SourceAsChangelog", "a-users-changelog"},
		{unlogged, []Record{from}, "", ""},
		{absent, []Record{own}, "", ""},
		{from, nil, "", ""},
		{own, nil, "no longer in the topology", "a-users-changelog"},
	} {
		view := View{stores: map[string]Record{"users": test.was}}
		misfits := view.Misfits(test.now)
		switch {
		case test.says == "" && len(misfits) > 0:
			t.Errorf("%+v, now %+v: %v", test.was, test.now, misfits[0].Err)
		case test.says != "" && (len(misfits) != 1 || !strings.Contains(misfits[0].Err.Error(), test.says) || misfits[0].Changelog != test.topics):
			t.Errorf("%+v, now %+v: got %+v, want %q", test.was, test.now, misfits, test.says)
		}
	}
}
