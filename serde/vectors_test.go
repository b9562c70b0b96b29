package serde_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/needtest"
	"github.com/millrace-streams/millrace/serde"
)

// readVectors reads the bytes captured from Kafka Streams into a slice of V. It reads the
// file name from every directory listed in MILLRACE_CONFORMANCE. Relative directories are
// relative to the module's root. If a directory is called cases, the file is beside it.
// If no directory has the file, the test is skipped, or fails in CI if the default
// directory was used.
//
// whole is true if the default directory was used, which has a vector of every kind.
func readVectors[V any](t *testing.T, name string) (vectors []V, whole bool) {
	t.Helper()
	list := os.Getenv("MILLRACE_CONFORMANCE")
	if whole = list == ""; whole {
		list = filepath.Join("..", "shared", "conformance")
	}
	for _, dir := range filepath.SplitList(list) {
		if !filepath.IsAbs(dir) {
			// tests run in the package's directory, one below the root
			dir = filepath.Join("..", dir)
		}
		if filepath.Base(dir) == "cases" {
			dir = filepath.Dir(dir)
		}
		text, err := os.ReadFile(filepath.Join(dir, "vectors", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var more []V
		if err := json.Unmarshal(text, &more); err != nil {
			t.Fatalf("%s in %s: %v", name, dir, err)
		}
		vectors = append(vectors, more...)
	}
	switch {
	case len(vectors) > 0:
	case whole:
		needtest.Missing(t, "no vectors/%s in %q: set MILLRACE_CONFORMANCE to the conformance corpus", name, list)
	default: // perhaps a folder of cases only
		t.Skipf("no vectors/%s in %q", name, list)
	}
	return vectors, whole
}

// hexBytes is a byte slice that JSON holds as hexadecimal text.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.AppendDecode([]byte{}, text)
	return err
}

// matches checks that v is encoded as want, and that want decodes to a value with the
// same encoding.
func matches[T any](s serde.Serde[T], v T, want []byte) error {
	have, err := serde.Encode(s, v)
	if err != nil {
		return err
	}
	if !bytes.Equal(have, want) {
		return fmt.Errorf("%+v is encoded as %x, want %x", v, have, want)
	}
	back, err := s.Decode(want)
	if err != nil {
		return err
	}
	if fmt.Sprint(back) != fmt.Sprint(v) {
		return fmt.Errorf("%x decodes to %+v, want %+v", want, back, v)
	}
	return nil
}

func matchesJSON[T any](s serde.Serde[T]) func(value json.RawMessage, want []byte) error {
	return func(value json.RawMessage, want []byte) error {
		var v T
		if err := json.Unmarshal(value, &v); err != nil {
			return err
		}
		return matches(s, v, want)
	}
}

// matchesBytes checks a value given as {"hex": "..."}.
func matchesBytes(value json.RawMessage, want []byte) error {
	var v struct{ Hex hexBytes }
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	return matches(serde.Bytes, []byte(v.Hex), want)
}

func TestVectorsOfSerdes(t *testing.T) {
	t.Parallel()
	type vector struct {
		Serde string
		Value json.RawMessage
		Bytes hexBytes
	}
	checks := map[string]func(json.RawMessage, []byte) error{
		"string": matchesJSON(serde.String),
		"bytes":  matchesBytes,
		"short":  matchesJSON(serde.Int16),
		"int":    matchesJSON(serde.Int32),
		"long":   matchesJSON(serde.Int64),
		"float":  matchesJSON(serde.Float32),
		"double": matchesJSON(serde.Float64),
		"bool":   matchesJSON(serde.Bool),
		"uuid":   matchesJSON(serde.UUID),
	}
	seen := map[string]bool{}
	vectors, whole := readVectors[vector](t, "serdes.json")
	for i, v := range vectors {
		check, ok := checks[v.Serde]
		if !ok {
			t.Logf("vector %d: not yet: there is no serde %s", i, v.Serde)
			continue
		}
		seen[v.Serde] = true
		if err := check(v.Value, v.Bytes); err != nil {
			t.Errorf("vector %d, %s: %v", i, v.Serde, err)
		}
	}
	for name := range checks {
		if whole && !seen[name] && name != "bytes" { // bytes have no captured vector
			t.Errorf("no vector for %s", name)
		}
	}
}

// checkPartitions compares Partition with the partitions captured for topics of several
// sizes.
func checkPartitions(key []byte, partitions map[string]int32) error {
	for text, want := range partitions {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return err
		}
		if have := serde.Partition(key, int32(n)); have != want {
			return fmt.Errorf("key %x: partition %d of %d, want %d", key, have, n, want)
		}
	}
	return nil
}

func TestVectorsOfPartitioner(t *testing.T) {
	t.Parallel()
	type vector struct {
		Key        hexBytes
		Murmur2    int32
		Partitions map[string]int32
	}
	vectors, _ := readVectors[vector](t, "partitioner.json")
	for i, v := range vectors {
		if have := serde.Murmur2(v.Key); have != v.Murmur2 {
			t.Errorf("vector %d: murmur2 of %x is %d, want %d", i, []byte(v.Key), have, v.Murmur2)
		}
		if err := checkPartitions(v.Key, v.Partitions); err != nil {
			t.Errorf("vector %d: %v", i, err)
		}
	}
}

func TestVectorsOfWindowedPartitioner(t *testing.T) {
	t.Parallel()
	type vector struct {
		Key        string
		Start      int64
		RecordKey  hexBytes
		Partitions map[string]int32
	}
	s := serde.TimeWindowed(serde.String, time.Second)
	vectors, _ := readVectors[vector](t, "windowed_partitioner.json")
	for i, v := range vectors {
		key, err := s.Decode(v.RecordKey)
		if err != nil || key.Key != v.Key || key.Start != v.Start {
			t.Errorf("vector %d: %x decodes to %v, %v", i, []byte(v.RecordKey), key, err)
			continue
		}
		hashed, err := serde.AppendPartitionKey(nil, s, key)
		if err != nil {
			t.Errorf("vector %d: %v", i, err)
			continue
		}
		if err := checkPartitions(hashed, v.Partitions); err != nil {
			t.Errorf("vector %d: %v", i, err)
		}
	}
}

func TestVectorsOfWindowedKeys(t *testing.T) {
	t.Parallel()
	type vector struct {
		Kind       string
		Key        any // text, in the layouts checked here
		Start, End int64
		Bytes      hexBytes
	}
	const size = 10 * time.Second
	checked := map[string]int{}
	vectors, whole := readVectors[vector](t, "layouts.json")
	for i, v := range vectors {
		var err error
		switch v.Kind {
		case "time-windowed-topic-key":
			w := serde.Window{Start: v.Start, End: max(v.Start, v.Start+size.Milliseconds())}
			if w.End == w.Start { // the sum has overflowed
				w.End = 1<<63 - 1
			}
			err = matches(serde.TimeWindowed(serde.String, size), serde.Windowed[string]{Key: v.Key.(string), Window: w}, v.Bytes)
		case "session-windowed-topic-key":
			w := serde.Window{Start: v.Start, End: v.End}
			err = matches(serde.SessionWindowed(serde.String), serde.Windowed[string]{Key: v.Key.(string), Window: w}, v.Bytes)
		}
		checked[v.Kind]++
		if err != nil {
			t.Errorf("vector %d, %s: %v", i, v.Kind, err)
		}
	}
	if whole && (checked["time-windowed-topic-key"] == 0 || checked["session-windowed-topic-key"] == 0) {
		t.Errorf("vectors of windowed keys are missing: %v", checked)
	}
}
