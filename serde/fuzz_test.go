package serde_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/millrace-streams/millrace/serde"
)

// fuzz runs a decoder on arbitrary bytes. The decoder
//
//   - must not panic,
//   - must not change its argument,
//   - must return only values whose encoding decodes to the same encoding again.
//
// A canonical format has one encoding of each value. If canonical is true, that encoding
// must equal the input.
func fuzz[T any](f *testing.F, s serde.Serde[T], canonical bool) {
	f.Helper()
	f.Add([]byte{})
	f.Add([]byte{1})
	f.Add([]byte("12345678"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x02"))
	f.Add([]byte("123e4567-e89b-12d3-a456-426614174000"))
	f.Add([]byte(`{"name":"a","photo":"AP8=","raw":[1,null],"friend":{"age":-1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := append([]byte{}, data...) // never nil: the contract promises that
		v, err := s.Decode(in)
		if !bytes.Equal(in, data) {
			t.Fatalf("%x was changed to %x", data, in)
		}
		if err != nil {
			return
		}
		clear(in)
		encoded, err := serde.Encode(s, v)
		if err != nil {
			t.Fatalf("%x decodes to %+v, which has no encoding: %v", data, v, err)
		}
		if canonical && !bytes.Equal(encoded, data) {
			t.Fatalf("%x is encoded again as %x", data, encoded)
		}
		back, err := s.Decode(encoded)
		if err != nil {
			t.Fatalf("%x, made from %x, does not decode: %v", encoded, data, err)
		}
		again, err := serde.Encode(s, back)
		if err != nil || !bytes.Equal(again, encoded) {
			t.Fatalf("%x came back as %x, %v", encoded, again, err)
		}
	})
}

func FuzzString(f *testing.F)  { fuzz(f, serde.String, true) }
func FuzzBytes(f *testing.F)   { fuzz(f, serde.Bytes, true) }
func FuzzInt16(f *testing.F)   { fuzz(f, serde.Int16, true) }
func FuzzInt32(f *testing.F)   { fuzz(f, serde.Int32, true) }
func FuzzInt64(f *testing.F)   { fuzz(f, serde.Int64, true) }
func FuzzFloat32(f *testing.F) { fuzz(f, serde.Float32, true) }
func FuzzFloat64(f *testing.F) { fuzz(f, serde.Float64, true) }
func FuzzBool(f *testing.F)    { fuzz(f, serde.Bool, true) }

// Not canonical: Decode accepts upper case, Append writes lower case.
func FuzzUUID(f *testing.F) { fuzz[uuid.UUID](f, serde.UUID, false) }

func FuzzJSON(f *testing.F)     { fuzz(f, serde.JSON[person](), false) }
func FuzzNullable(f *testing.F) { fuzz(f, serde.Nullable(serde.Int64), true) }

func FuzzTimeWindowed(f *testing.F) {
	fuzz(f, serde.TimeWindowed(serde.String, time.Minute), true)
}

func FuzzSessionWindowed(f *testing.F) {
	fuzz(f, serde.SessionWindowed(serde.Nullable(serde.Int64)), true)
}

func FuzzMurmur2(f *testing.F) {
	f.Add([]byte("kafka"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if have, want := serde.Murmur2(data), naiveMurmur2(data); have != want {
			t.Errorf("%x: %d, want %d", data, have, want)
		}
	})
}
