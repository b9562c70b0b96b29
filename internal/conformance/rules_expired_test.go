package conformance

import (
	"encoding/binary"
	"slices"

	"github.com/millrace-streams/millrace/topologytest"
)

// unloggedPuts allows the changelog of a window store or of a session store to lack
// exactly the rows that had expired when they were put.
func unloggedPuts(s *subject, d difference) bool {
	retention, rowTime, ok := s.expiringStore(d.topic)
	if !ok || d.step == 0 {
		return false
	}
	var want []topologytest.Record
	newest := int64(-1)
	for i, st := range s.c.Steps[:d.step] {
		for name, records := range st.Internal {
			if s.o.built.names.here(name) != d.topic {
				continue
			}
			for _, r := range records {
				at := rowTime(unhex(r.Key))
				newest = max(newest, at)
				if i == d.step-1 && at > newest-retention {
					want = append(want, topologytest.Record{Key: unhex(r.Key), Value: unhex(r.Value)})
				}
			}
		}
	}
	return slices.EqualFunc(d.got, want, func(a, b topologytest.Record) bool { return equalBytes(a.Key, b.Key) && equalBytes(a.Value, b.Value) })
}

// expiringStore returns the retention of the window store or session store with a
// changelog, and how the time of a row follows from its key there.
func (s *subject) expiringStore(topic string) (retention int64, rowTime func(key []byte) int64, ok bool) {
	for _, o := range s.c.Topology {
		name := o.text("op")
		if name != "addStore" && name != "store" || internalTopic(o.text("name"), "changelog") != topic {
			continue
		}
		switch kind := o.text("type"); {
		case kind == "session": // the key ends with the end and the start
			return o.ms("retention"), func(key []byte) int64 { return timeAt(key, 16) }, true
		case isWindow(kind): // the key ends with the start and a number of four bytes
			return o.ms("retention"), func(key []byte) int64 { return timeAt(key, 12) }, true
		}
	}
	return 0, nil, false
}

// timeAt returns the time that begins n bytes before the end of a key.
func timeAt(key []byte, n int) int64 { return int64(binary.BigEndian.Uint64(key[len(key)-n:])) }
