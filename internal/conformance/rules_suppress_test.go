package conformance

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/topologytest"
)

// initialOfBuffered allows the changelog of a suppress behind a windowed aggregation to
// lack the initial aggregate. Kafka Streams takes it for the old value of a new window.
// The rest must be equal.
func initialOfBuffered(s *subject, d difference) bool {
	initial := s.initialBehindSuppress()
	if initial == nil && !hasSliding(s.c) || !s.o.built.buffers[d.topic] {
		return false
	}
	if len(s.c.InternalDigest) > 0 {
		for name, want := range s.c.InternalDigest {
			if s.o.built.names.here(name) == d.topic {
				return digestOf(withInitial(s.o.bufferLog(d.topic), initial)) == want
			}
		}
		return false
	}
	return pairwise(d, func(w wanted, g topologytest.Record) bool {
		// Some windows are made without the initial aggregate, and some sliding ones of
		// the aggregate of another window.
		return sameRecord(w, g) || sameRecord(w, withInitial([]topologytest.Record{g}, initial)[0]) ||
			hasSliding(s.c) && w.value != nil && g.Value != nil && sameRecord(w, withInitial([]topologytest.Record{g}, priorIn(w.value))[0])
	})
}

// initialBehindSuppress returns the encoded initial aggregate of the time windows that a
// suppress is directly behind; nil if there is none.
func (s *subject) initialBehindSuppress() []byte {
	byID := map[string]op{}
	for _, o := range s.c.Topology {
		byID[o.id()] = o
		if o.text("op") != "suppress" {
			continue
		}
		of := byID[o.text("from")]
		if byID[of.text("from")].child("window").text("type") == "session" {
			return nil
		}
		switch of.text("op") {
		case "count":
			return make([]byte, 8)
		case "aggregate":
			initial := must(initializerOf(of.text("init")))()
			if initial == nil {
				return nil
			}
			return must(must(serdeOr(of.text("value"), basicSerdes["string"])).Append([]byte{}, initial))
		}
	}
	return nil
}

// withInitial puts the initial aggregate where a buffered update has no prior value.
func withInitial(records []topologytest.Record, initial []byte) []topologytest.Record {
	out := slices.Clone(records)
	for i, r := range out {
		if r.Value == nil {
			continue
		}
		at := priorAt(r.Value)
		if asLength(r.Value[at:]) != -1 {
			continue
		}
		value := binary.BigEndian.AppendUint32(bytes.Clone(r.Value[:at]), uint32(len(initial)))
		value = append(value, initial...)
		rest := bytes.Clone(r.Value[at+4:])
		if asLength(rest) == -1 {
			binary.BigEndian.PutUint32(rest, uint32(0xfffffffe)) // the prior value
		}
		out[i].Value = append(value, rest...)
	}
	return out
}

// priorIn returns the prior value in a buffered update.
func priorIn(data []byte) []byte {
	at := priorAt(data)
	n := max(int(asLength(data[at:])), 0)
	return data[at+4 : at+4+n]
}

func asLength(b []byte) int32 { return int32(binary.BigEndian.Uint32(b)) }

// withoutBufferedHeaders removes the headers from a buffered update.
func withoutBufferedHeaders(r topologytest.Record) topologytest.Record {
	at := 16
	at += 4 + int(asLength(r.Value[at:])) + 4
	r.Value = append(binary.BigEndian.AppendUint32(bytes.Clone(r.Value[:at]), 0), r.Value[priorAt(r.Value):]...)
	return r
}

// priorAt returns where the prior value is in a buffered update.
func priorAt(data []byte) int {
	at := 16
	at += 4 + int(asLength(data[at:])) + 4
	n := asLength(data[at:])
	for at += 4; n > 0; n-- {
		at += 4 + int(asLength(data[at:]))
		at += 4 + max(int(asLength(data[at:])), 0)
	}
	return at
}

// oldOfSuppressed applies to a table behind a suppress that is grouped. It allows an
// update that subtracts no value where Kafka Streams subtracts a value that was never
// passed on. A group that has no row is then not deleted.
func oldOfSuppressed(s *subject, d difference) bool {
	switch {
	case !hasOp(s.c, "suppress") || !hasOp(s.c, "groupBy"):
		return false
	case strings.HasSuffix(d.topic, "-repartition"):
		return withoutOld(d.want, d.got)
	}
	return isPart(d.want, d.got) && len(kept(d.got)) == len(keptWanted(d.want))
}

// withoutOld reports whether got is want without some of the old values.
func withoutOld(want []wanted, got []topologytest.Record) bool {
	for _, w := range want {
		switch {
		case len(got) > 0 && (sameRecord(w, got[0]) || onlyAdds(w, got[0])):
			got = got[1:]
		case !bytes.HasSuffix(w.value, []byte{0}): // it also adds a value
			return false
		}
	}
	return len(got) == 0
}
