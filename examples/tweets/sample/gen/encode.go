package main

import (
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// encode encodes v in the form of Twitter's servers: on one line, ASCII only, with
// slashes escaped.
func encode(v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return escape(plain), nil
}

// escape treats all of the JSON alike, because slashes and non-ASCII characters occur
// only in its strings.
func escape(plain []byte) []byte {
	out := make([]byte, 0, len(plain)+len(plain)/4)
	for len(plain) > 0 {
		r, size := utf8.DecodeRune(plain)
		switch {
		case r == '/':
			out = append(out, '\\', '/')
		case r < utf8.RuneSelf:
			out = append(out, byte(r))
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			out = appendEscaped(appendEscaped(out, high), low)
		default:
			out = appendEscaped(out, r)
		}
		plain = plain[size:]
	}
	return out
}

// appendEscaped appends r, which is below 0x10000, as \u and four digits.
func appendEscaped(out []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	return append(out, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
