package registry

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMisfits(t *testing.T) {
	t.Parallel()
	was := full()
	was.Removed = time.Time{}
	for name, tc := range map[string]struct {
		change func(*Record)
		want   string // "" fits
	}{
		"nothing":            {func(*Record) {}, ""},
		"a changelog anew":   {func(r *Record) { r.ChangelogID = TopicID{9} }, ""},
		"one more input":     {func(r *Record) { r.Inputs = append(r.Inputs, Input{Topic: "more", Partitions: 1}) }, ""},
		"one input less":     {func(r *Record) { r.Inputs = r.Inputs[:1] }, ""},
		"the same pattern":   {func(r *Record) { r.Inputs = []Input{{Topic: "in-2", Partitions: 4}} }, ""},
		"another pattern":    {func(r *Record) { r.Patterns = []string{"other-.*"} }, ""},
		"another input":      {func(r *Record) { r.Patterns, r.Inputs = nil, []Input{{Topic: "other", Partitions: 4}} }, "was filled from in, tweets-by-key-repartition and is now filled from other"},
		"an unknown format":  {func(r *Record) { r.KeyFormat, r.ValueFormat = "?", "" }, ""},
		"partly unknown":     {func(r *Record) { r.ValueFormat = "nullable ?" }, ""},
		"another value":      {func(r *Record) { r.ValueFormat = "int64" }, "had values of format nullable json and has now int64"},
		"another key":        {func(r *Record) { r.KeyFormat = "uuid" }, "had keys of format string and has now uuid"},
		"another part":       {func(r *Record) { r.ValueFormat = "other ?" }, "values of format"},
		"another size":       {func(r *Record) { r.Windows.Size = 30 * time.Second }, "had windows of 1m0s every 5s and has now windows of 30s every 5s"},
		"another advance":    {func(r *Record) { r.Windows.Advance = time.Second }, "has now windows of 1m0s every 1s"},
		"an unknown advance": {func(r *Record) { r.Windows.Advance = 0 }, ""},
		"no end":             {func(r *Record) { r.Windows = Windows{Size: math.MaxInt64} }, "a window without end from 1970"},
		"no windows":         {func(r *Record) { r.Kind, r.Windows, r.Duplicates = KeyValue, Windows{}, false }, "was a window store with duplicates and is now a key-value store"},
		"no duplicates":      {func(r *Record) { r.Duplicates = false }, "is now a window store"},
		"another owner":      {func(r *Record) { r.Application = "b" }, "belongs to application tweets, and this is b"},
		"another count":      {func(r *Record) { r.Inputs = slices.Clone(r.Inputs); r.Inputs[0].Partitions = 8 }, "[{in false 4 8}]"},
		"another name":       {func(r *Record) { r.Store = "other" }, "store counts is no longer in the topology"},
	} {
		now := was
		tc.change(&now)
		got := View{stores: map[string]Record{"counts": was}}.Misfits([]Record{now})
		switch {
		case tc.want == "" && len(got) > 0:
			t.Errorf("%s: %v", name, got[0].Err)
		case tc.want != "" && (len(got) != 1 || !strings.Contains(fmt.Sprint(got[0].Err, got[0].Recounts), tc.want) || got[0].Changelog != was.Changelog):
			t.Errorf("%s: %+v, want %q", name, got, tc.want)
		}
	}
}

func TestWhatDoesNotBind(t *testing.T) {
	t.Parallel()
	removed, times, newer := full(), Record{Store: "in-times", Application: "a", Kind: Times}, Record{Store: "n", Application: "a", Newer: true}
	view := View{stores: map[string]Record{removed.Store: removed, times.Store: times, newer.Store: newer}}
	if got := view.Misfits(nil); len(got) != 1 || got[0].Store != "n" || !got[0].Gone {
		t.Errorf("got %+v, want the store that a newer version has recorded", got)
	}
	if got := view.Misfits([]Record{{Store: "n", Application: "a"}}); len(got) != 1 || !strings.Contains(got[0].Err.Error(), "newer version") {
		t.Errorf("got %+v", got)
	}
}

// Stores that are no longer known stay recorded. Changed records are written.
func TestWhatIsWritten(t *testing.T) {
	t.Parallel()
	was := full()
	was.Removed = time.Time{}
	view := View{stores: map[string]Record{"counts": was}, repartitions: map[string]Repartition{"r": {Topic: "r", Application: "a", Partitions: 1}}}
	now := was
	now.ValueFormat = "?"
	if c := view.Missing([]Record{now}, []Repartition{{Topic: "r", Application: "a", Partitions: 1}}); !c.Empty() {
		t.Errorf("wrote %+v", c)
	}
	now.ChangelogID = TopicID{9}
	c := view.Missing([]Record{now}, []Repartition{{Topic: "s", Application: "a", Partitions: 1}})
	if len(c.Stores) != 1 || c.Stores[0].ValueFormat != was.ValueFormat || c.Stores[0].ChangelogID != now.ChangelogID || len(c.Repartitions) != 1 {
		t.Errorf("wrote %+v", c)
	}
	view.stores["counts"] = full() // removed
	if c := view.Missing([]Record{now}, nil); len(c.Stores) != 1 || c.Stores[0].ValueFormat != "?" || !c.Stores[0].Removed.IsZero() {
		t.Errorf("a store that comes back: wrote %+v", c)
	}
}

// The records of a repartition topic would be misread if a known format changes.
func TestMisreadings(t *testing.T) {
	t.Parallel()
	was := Repartition{Topic: "r", Application: "a", Partitions: 1, KeyFormat: "string", ValueFormat: "int64"}
	for name, c := range map[string]struct {
		change  func(was, now *Repartition)
		misread bool
		written string // key and value format
	}{
		"nothing":        {func(_, _ *Repartition) {}, false, ""},
		"value":          {func(_, now *Repartition) { now.ValueFormat = "float64" }, true, "string to float64"},
		"key":            {func(_, now *Repartition) { now.KeyFormat = "int64" }, true, "int64 to int64"},
		"unknown now":    {func(_, now *Repartition) { now.ValueFormat = "?" }, false, ""},
		"unknown before": {func(was, _ *Repartition) { was.ValueFormat = "?" }, false, "string to int64"},
		"no format":      {func(was, _ *Repartition) { was.KeyFormat, was.ValueFormat = "", "" }, false, "string to int64"},
		"new topic":      {func(_, now *Repartition) { now.Topic = "s" }, false, "string to int64"},
	} {
		before, now := was, was
		c.change(&before, &now)
		view := View{repartitions: map[string]Repartition{"r": before}}
		if got := view.Misreadings([]Repartition{now}); (len(got) == 1) != c.misread {
			t.Errorf("%s: %+v", name, got)
		}
		written := ""
		for _, r := range view.Missing(nil, []Repartition{now}).Repartitions {
			written += r.formats()
		}
		if written != c.written {
			t.Errorf("%s: wrote %q, want %q", name, written, c.written)
		}
	}
}

func TestRivals(t *testing.T) {
	t.Parallel()
	topics := []string{"a-b-c-changelog", "a-b-r-s-repartition", "a-b-stores-registry", "a-b--changelog", "-x-changelog", "a-b-j-subscription-response-topic"}
	got := rivals("a-b", topics)
	slices.Sort(got)
	if want := []string{"a", "a-b-j", "a-b-j-subscription", "a-b-r"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Formats of values continue those that were recorded, and are given up only when all
// partitions are converted.
func TestMisfitsOfFormats(t *testing.T) {
	t.Parallel()
	id := TopicID{7}
	record := func(partitions int32, formats ...string) Record {
		newest := len(formats) - 1
		r := Record{Store: "s", Application: "a", Kind: KeyValue, KeyFormat: "string", Changelog: "a-s-changelog", ChangelogID: id, Partitions: partitions}
		r.EarlierValues, r.ValueFormat = formats[:newest:newest], formats[newest]
		return r
	}
	swept := func(p int32, id TopicID, format int) Swept { return Swept{"s", p, id, format} }
	for name, tc := range map[string]struct {
		was, now Record
		swept    []Swept
		want     string // "" fits
	}{
		"a migration":             {was: record(1, "int64"), now: record(1, "int64", "float64")},
		"another one":             {was: record(1, "int64", "float64"), now: record(1, "int64", "float64", "json")},
		"two at once":             {was: record(1, "int64"), now: record(1, "int64", "float64", "json")},
		"an unknown one":          {was: record(1, "int64", "?"), now: record(1, "int64", "float64")},
		"a rollback":              {was: record(1, "int64", "float64"), now: record(1, "int64"), want: "run the version of the program that has format 1"},
		"a lost option":           {was: record(1, "int64", "float64"), now: record(1, "float64"), want: "put the options back or, if all rows are converted, Migrated(1)"},
		"another old serde":       {was: record(1, "int64"), now: record(1, "string", "float64"), want: "whose format 0 was int64 and is now string"},
		"another newest serde":    {was: record(1, "int64", "float64"), now: record(1, "int64", "json"), want: "whose format 1 was float64 and is now json"},
		"nothing converted":       {was: record(2, "int64", "float64"), now: record(2, "", "float64"), want: "in partitions 0, 1"},
		"one partition converted": {was: record(2, "int64", "float64"), now: record(2, "", "float64"), swept: []Swept{swept(0, id, 1)}, want: "in partitions 1"},
		"all converted":           {was: record(2, "int64", "float64"), now: record(2, "", "float64"), swept: []Swept{swept(0, id, 1), swept(1, id, 2)}},
		"converted before":        {was: record(1, "int64"), now: record(1, "", "float64"), swept: []Swept{swept(0, id, 1)}, want: "in partitions 0"},
		"another changelog":       {was: record(1, "int64", "float64"), now: record(1, "", "float64"), swept: []Swept{swept(0, TopicID{8}, 1)}, want: "in partitions 0"},
		"given up before":         {was: record(1, "int64", "float64"), now: record(1, "", "float64", "json"), swept: []Swept{swept(0, id, 1)}},
		"too many given up":       {was: record(1, "int64", "float64"), now: record(1, "", "", "json"), swept: []Swept{swept(0, id, 1)}, want: "in partitions 0"},
	} {
		view := View{stores: map[string]Record{"s": tc.was}, swept: map[sweptKey]Swept{}}
		for _, s := range tc.swept {
			view.swept[s.key()] = s
		}
		got := view.Misfits([]Record{tc.now})
		if fits := len(got) == 0; fits != (tc.want == "") || !fits && !strings.Contains(got[0].Err.Error(), tc.want) {
			t.Errorf("%s: %+v, want %q", name, got, tc.want)
		}
	}

	// While the store is empty, a version with fewer formats may come back. Conversions
	// of the formats that it does not know do not count later.
	view := View{stores: map[string]Record{"s": record(2, "int64", "float64")}, swept: map[sweptKey]Swept{}}
	for _, s := range []Swept{swept(0, id, 1), swept(1, id, 1), {"other", 0, id, 1}} {
		view.swept[s.key()] = s
	}
	if c := view.Missing([]Record{record(2, "int64")}, nil); len(c.Stores) != 1 || !slices.Equal(c.Forget, []string{"swept/s/0", "swept/s/1"}) {
		t.Errorf("a rollback: %+v", c)
	}
	if c := view.Missing([]Record{record(2, "int64", "float64", "json")}, nil); len(c.Stores) != 1 || len(c.Forget) > 0 {
		t.Errorf("a migration: %+v", c)
	}
	if c := view.Missing([]Record{record(2, "", "float64")}, nil); !c.Empty() {
		t.Errorf("given up: %+v", c)
	}
}

// Only the records of stores with migrations cannot be read by earlier versions.
func TestVersionOfFormats(t *testing.T) {
	t.Parallel()
	r := full()
	plain, err := r.encode()
	if err != nil || !strings.Contains(string(plain), `"version":1,`) || strings.Contains(string(plain), "earlier") {
		t.Errorf("%s, %v", plain, err)
	}
	r.EarlierValues = []string{"int64"}
	migrated, err := r.encode()
	if err != nil || !strings.Contains(string(migrated), `"version":3,`) {
		t.Errorf("%s, %v", migrated, err)
	}
}
