package serde_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde"
)

func decodeError[T any](s serde.Serde[T], data string) error {
	_, err := s.Decode([]byte(data))
	return err
}

func encodeError[T any](s serde.Serde[T], v T) error {
	_, err := serde.Encode(s, v)
	return err
}

func TestErrors(t *testing.T) {
	t.Parallel()
	type key = serde.Windowed[string]
	minute := serde.TimeWindowed(serde.String, time.Minute)
	session := serde.SessionWindowed(serde.String)
	start := func(ms int64) key { return key{Key: "a", Window: serde.Window{Start: ms}} }
	tests := []struct {
		have error
		want string
	}{
		{decodeError(serde.Int16, "abc"), "int16: want 2 bytes, have 3"},
		{decodeError(serde.Int32, ""), "int32: want 4 bytes, have 0"},
		{decodeError(serde.Int64, "abc"), "int64: want 8 bytes, have 3"},
		{decodeError(serde.Float32, "abc"), "float32: want 4 bytes, have 3"},
		{decodeError(serde.Float64, "123456789"), "float64: want 8 bytes, have 9"},
		{decodeError(serde.Bool, ""), "bool: want 1 byte, have 0"},
		{decodeError(serde.Bool, "t"), "bool: want byte 0 or 1, have 116"},
		{decodeError(serde.UUID, "x"), "uuid: want 36 bytes, have 1"},
		{
			decodeError(serde.UUID, "123e4567-e89b-12d3-a456-42661417400g"),
			`uuid: "123e4567-e89b-12d3-a456-42661417400g": invalid UUID format`,
		},
		{
			decodeError(serde.UUID, "{123e4567-e89b-12d3-a456-426614174000}"),
			"uuid: want 36 bytes, have 38",
		},
		{
			decodeError(serde.JSON[person](), `{"name": ?}`),
			"json serde_test.person: decode at byte 10: invalid character '?' looking for beginning of value",
		},
		{
			decodeError(serde.JSON[person](), `{"name": "a"} {}`),
			"json serde_test.person: decode at byte 15: invalid character '{' after top-level value",
		},
		{
			decodeError(serde.JSON[person](), ``),
			"json serde_test.person: decode at byte 0: unexpected end of JSON input",
		},
		{
			decodeError(serde.JSON[map[string]int](), `{"a": "b"}`),
			"json map[string]int: decode at byte 9: json: cannot unmarshal string into Go value of type int",
		},
		{
			encodeError(serde.JSON[float64](), math.NaN()),
			"json float64: encode: json: unsupported value: NaN",
		},
		{
			encodeError(serde.JSONWith[float64](json.Marshal, nil), math.NaN()),
			"json float64: encode: json: unsupported value: NaN",
		},
		{
			decodeError(serde.JSONWith[int](nil, json.Unmarshal), "?"),
			"json int: decode: invalid character '?' looking for beginning of value",
		},
		{
			encodeError(serde.JSONWith[int](nil, json.Unmarshal), 1),
			"json int: encode: the function marshal is nil: pass one to JSONWith, such as json.Marshal",
		},
		{
			decodeError(serde.JSONWith[int](json.Marshal, nil), "1"),
			"json int: decode: the function unmarshal is nil: pass one to JSONWith, such as json.Unmarshal",
		},
		{
			encodeError(serde.Nullable(serde.Int64), nil),
			"nullable int64: an absent value has no encoding; write nil in its place",
		},
		{decodeError(serde.Nullable(serde.Int64), "abc"), "int64: want 8 bytes, have 3"},
		{decodeError(minute, "short"), "time-windowed (1m0s) string: want at least 8 bytes, have 5"},
		{decodeError(session, "short"), "session-windowed string: want at least 16 bytes, have 5"},
		{
			decodeError(serde.TimeWindowed(serde.Int64, time.Minute), "abc\x00\x00\x00\x00\x00\x00\x00\x00"),
			"time-windowed (1m0s) int64: key: int64: want 8 bytes, have 3",
		},
		{decodeError(minute, "a\xff\xff\xff\xff\xff\xff\xff\xff"), "time-windowed (1m0s) string: negative window start -1"},
		{encodeError(minute, start(-5)), "time-windowed (1m0s) string: negative window start -5"},
		{encodeError(session, start(5)), "session-windowed string: session ends at 0, before its start at 5"},
		{
			encodeError(serde.TimeWindowed(serde.String, 1500*time.Microsecond), start(0)),
			"time-windowed (1.5ms) string: window size 1.5ms: want a positive number of whole milliseconds",
		},
		{
			decodeError(serde.TimeWindowed(serde.String, 0), "12345678"),
			"time-windowed (0s) string: window size 0s: want a positive number of whole milliseconds",
		},
	}
	for _, test := range tests {
		if test.have == nil || test.have.Error() != test.want {
			t.Errorf("have %v\nwant %s", test.have, test.want)
		}
	}
}

// refusing is a type that cannot be encoded.
type refusing struct{}

var errRefused = errors.New("refused")

func (refusing) MarshalJSON() ([]byte, error) { return nil, errRefused }

func TestJSONErrorsAreWrapped(t *testing.T) {
	t.Parallel()
	s := serde.JSON[refusing]()
	if err := encodeError(s, refusing{}); !errors.Is(err, errRefused) {
		t.Errorf("the method's error is not in %v", err)
	}
	var syntax *json.SyntaxError
	if err := decodeError(s, "?"); !errors.As(err, &syntax) || syntax.Offset != 1 {
		t.Errorf("no syntax error with offset 1 in %v", err)
	}
}

// After a failed call, the pooled encoder must be clean.
func TestJSONEncodesAfterAnError(t *testing.T) {
	t.Parallel()
	s := serde.JSON[float64]()
	for range 3 {
		out, err := s.Append([]byte("kept"), math.Inf(1))
		if err == nil || string(out) != "kept" {
			t.Errorf("have %q, %v", out, err)
		}
		out, err = s.Append([]byte("kept "), 1.5)
		if err != nil || string(out) != "kept 1.5" {
			t.Errorf("have %q, %v", out, err)
		}
	}
}
