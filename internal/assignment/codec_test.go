package assignment

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/taskid"
)

var subscriptions = []Subscription{
	{Capacity: 1, Lags: map[taskid.ID]int64{}},
	{
		ProcessID: "6f1d", Fingerprint: "f", Endpoint: "10.0.0.7:8080", Capacity: 4, Nonce: 300,
		Lags: map[taskid.ID]int64{taskid.Of(0, 1): 0, taskid.Of(0, 0): 7, taskid.Of(3, 200): math.MaxInt64}, Matched: "in",
	},
}

var assignments = []Assignment{
	{},
	{
		Fingerprint: "f", Seen: Seen{Format: 1, Fingerprint: "g", Endpoint: "h:1", Matched: "m"}, Code: OtherTopology, Message: "why", Awaited: true,
		Tasks: Tasks{Active: []taskid.ID{taskid.Of(0, 1), taskid.Of(0, 2), taskid.Of(7, 0)}},
	},
}

func TestUserDataRoundTrip(t *testing.T) {
	t.Parallel()
	for _, s := range subscriptions {
		got, err := ParseSubscription(s.Append(nil))
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("got %+v, %v, want %+v", got, err, s)
		}
	}
	for _, a := range assignments {
		got, err := ParseAssignment(a.Append(nil))
		if err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("got %+v, %v, want %+v", got, err, a)
		}
	}
}

// Processes with different versions of the library exchange these bytes, so the test
// fixes them.
func TestUserDataVectors(t *testing.T) {
	t.Parallel()
	const subscription = "0201" + "0436663164" + "0166" + "0d31302e302e302e373a38303830" + "04" + "ac02" +
		"03" + "000007" + "000100" + "03c801ffffffffffffffff7f" + "02696e"
	if got := hex.EncodeToString(subscriptions[1].Append(nil)); got != subscription {
		t.Errorf("subscription: %s", got)
	}
	const assignment = "0201" + "0166" + "01" + "0167" + "03683a31" + "01" + "03776879" + "01" + "03" + "0001" + "0002" + "0700" + "016d"
	if got := hex.EncodeToString(assignments[1].Append(nil)); got != assignment {
		t.Errorf("assignment: %s", got)
	}
}

// Format 1 lacks the last field.
func TestEarlierFormat(t *testing.T) {
	t.Parallel()
	s := subscriptions[0].Append(nil)
	s[0] = 1
	if got, err := ParseSubscription(s[:len(s)-1]); err != nil || !reflect.DeepEqual(got, subscriptions[0]) {
		t.Errorf("subscription: %+v, %v", got, err)
	}
	a := assignments[0].Append(nil)
	a[0] = 1
	if got, err := ParseAssignment(a[:len(a)-1]); err != nil || !reflect.DeepEqual(got, assignments[0]) {
		t.Errorf("assignment: %+v, %v", got, err)
	}
}

// Values with the same meaning have the same bytes.
func TestUserDataIsCanonical(t *testing.T) {
	t.Parallel()
	a := Subscription{Capacity: -1, Lags: map[taskid.ID]int64{taskid.Of(0, 0): -5}}.Append(nil)
	b := Subscription{Capacity: 1, Lags: map[taskid.ID]int64{taskid.Of(0, 0): 0}}.Append(nil)
	if !bytes.Equal(a, b) {
		t.Errorf("%x and %x", a, b)
	}
	c := Assignment{Tasks: Tasks{Active: []taskid.ID{taskid.Of(1, 0), taskid.Of(0, 1), taskid.Of(1, 0)}}}.Append(nil)
	d := Assignment{Tasks: Tasks{Active: []taskid.ID{taskid.Of(0, 1), taskid.Of(1, 0)}}}.Append(nil)
	if !bytes.Equal(c, d) {
		t.Errorf("%x and %x", c, d)
	}
	lags := map[taskid.ID]int64{}
	for p := range int32(50) {
		lags[taskid.ID{SubTopology: p % 3, Partition: p}] = int64(p)
	}
	first := Subscription{Lags: lags}.Append(nil)
	for range 20 {
		if !bytes.Equal(first, Subscription{Lags: lags}.Append(nil)) {
			t.Fatal("the same subscription has different bytes")
		}
	}
}

func TestLaterFormats(t *testing.T) {
	t.Parallel()
	later := append(assignments[1].Append(nil), "fields of format 9"...)
	later[0] = 9
	got, err := ParseAssignment(later)
	if err != nil || !reflect.DeepEqual(got, assignments[1]) {
		t.Errorf("a later format that readers of this one understand: %+v, %v", got, err)
	}
	later[1] = 3
	_, err = ParseAssignment(later)
	var tooNew *FormatError
	if !errors.As(err, &tooNew) || *tooNew != (FormatError{Format: 9, Readable: 3}) {
		t.Errorf("a format for later readers: %v", err)
	}
	if _, err = ParseSubscription(later); !errors.As(err, &tooNew) || !strings.Contains(err.Error(), "upgrade the older ones") {
		t.Errorf("a format for later readers: %v", err)
	}
}

func TestBadUserData(t *testing.T) {
	t.Parallel()
	for name, src := range map[string]string{
		"nothing":             "",
		"no readable from":    "01",
		"format zero":         "0001",
		"readable after own":  "0102",
		"truncated":           "01010436",
		"long string":         "0101ffffffff07",
		"too large a length":  "0101ffffffffffffffffff01",
		"number without end":  "0101ffffffffffffffffffffff",
		"many tasks, no room": "0101000000" + "01" + "00" + "ffffff7f",
		"descending tasks":    "0101000000" + "01" + "00" + "02" + "000100" + "000000",
		"a task twice":        "0101000000" + "01" + "00" + "02" + "000100" + "000100",
		"bytes left over":     "0101000000" + "01" + "00" + "00" + "00",
	} {
		raw, err := hex.DecodeString(src)
		if err != nil {
			t.Fatal(name, err)
		}
		if s, err := ParseSubscription(raw); err == nil {
			t.Errorf("%s: got %+v, want an error", name, s)
		}
	}
	for cut := range len(assignments[1].Append(nil)) {
		if a, err := ParseAssignment(assignments[1].Append(nil)[:cut]); err == nil {
			t.Errorf("the first %d bytes: got %+v, want an error", cut, a)
		}
	}
}

func FuzzParseSubscription(f *testing.F) {
	for _, s := range subscriptions {
		f.Add(s.Append(nil))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := ParseSubscription(src)
		if err != nil {
			return
		}
		s.Capacity = max(s.Capacity, 1)
		again, err := ParseSubscription(s.Append(nil))
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%+v became %+v, %v", s, again, err)
		}
	})
}

func FuzzParseAssignment(f *testing.F) {
	for _, a := range assignments {
		f.Add(a.Append(nil))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		a, err := ParseAssignment(src)
		if err != nil {
			return
		}
		again, err := ParseAssignment(a.Append(nil))
		if err != nil || !reflect.DeepEqual(again, a) {
			t.Fatalf("%+v became %+v, %v", a, again, err)
		}
	})
}

// What the coordinator returns is untrusted input: another version, or another program,
// may have written it.
func FuzzParseSync(f *testing.F) {
	f.Add([]byte{})
	for _, a := range assignments {
		outer := kmsg.NewConsumerMemberAssignment()
		topic := kmsg.NewConsumerMemberAssignmentTopic()
		topic.Topic, topic.Partitions = "in", []int32{0, 3}
		outer.Topics, outer.UserData = append(outer.Topics, topic), a.Append(nil)
		f.Add(outer.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if partitions, a, err := parseSync(src); err == nil && len(src) == 0 && (partitions != nil || len(a.Tasks.Active) > 0) {
			t.Fatalf("no bytes became %v and %+v", partitions, a)
		}
	})
}
