package versionedstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/store/storetest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/versionedstore"
)

const benchKeys = 1000

// filled returns a store with some committed versions of each key, and the time of the
// last one.
func filled(b *testing.B) (*storetest.Task, versionedstore.Store[string, int64], processor.Timestamp) {
	k := storetest.New(b, 0)
	spec := versionedstore.New("st", serde.String, serde.Int64, time.Hour)
	s := versionedstore.Open(k.Processor(spec), spec)
	at := processor.Timestamp(0)
	for range 5 {
		for i := range benchKeys {
			at++
			if _, _, err := s.Put(fmt.Sprintf("key-%04d", i), int64(at), at); err != nil {
				b.Fatal(err)
			}
		}
		k.Commit()
	}
	return k, s, at
}

func names() (keys []string) {
	for i := range benchKeys {
		keys = append(keys, fmt.Sprintf("key-%04d", i))
	}
	return keys
}

func BenchmarkPut(b *testing.B) {
	k, s, at := filled(b)
	keys := names()
	b.ReportAllocs()
	for n := 0; n < b.N; n++ {
		at++
		if _, _, err := s.Put(keys[n%benchKeys], int64(n), at); err != nil {
			b.Fatal(err)
		}
		if n%benchKeys == 0 {
			k.Commit()
		}
	}
}

func BenchmarkGetAsOf(b *testing.B) {
	for name, back := range map[string]processor.Timestamp{"newest": 0, "earlier": 2 * benchKeys} {
		b.Run(name, func(b *testing.B) {
			_, s, at := filled(b)
			keys := names()
			b.ReportAllocs()
			for n := 0; n < b.N; n++ {
				if _, ok, err := s.GetAsOf(keys[n%benchKeys], at-back); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
