package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// skipText consumes a string. Bytes that are not UTF-8 are no error in encoding/json.
func (r *reader) skipText() bool {
	for i := plainEnd(r.data, r.pos+1); i < len(r.data); i = plainEnd(r.data, i) {
		switch r.data[i] {
		case '"':
			r.pos = i + 1
			return true
		case '\\':
			n := escapeLen(r.data[i:])
			if n == 0 {
				return false
			}
			i += n
		default:
			return false // a control character
		}
	}
	return false
}

// text consumes a string and returns what it means. The result is a part of the input or
// of scratch, so the caller copies it before another string is read.
func (r *reader) text() (text []byte, ok bool) {
	start := r.pos + 1
	end := plainEnd(r.data, start)
	if end == len(r.data) {
		return nil, false
	}
	if r.data[end] == '"' && utf8.Valid(r.data[start:end]) {
		r.pos = end + 1
		return r.data[start:end], true
	}
	return r.unquote(start)
}

// unquote is text for a string with escapes, or with bytes that are not UTF-8.
func (r *reader) unquote(start int) (text []byte, ok bool) {
	out := r.scratch[:0]
	for i := start; ; {
		end := plainEnd(r.data, i)
		out = appendValid(out, r.data[i:end])
		if end == len(r.data) || r.data[end] < ' ' {
			return nil, false
		}
		if r.data[end] == '"' {
			r.pos, r.scratch = end+1, out
			return out, true
		}
		n := escapeLen(r.data[end:])
		if n == 0 {
			return nil, false
		}
		c, used := unescape(r.data[end:])
		out = utf8.AppendRune(out, c)
		i = end + used
	}
}

// appendValid appends text, and U+FFFD for each byte that is not UTF-8.
func appendValid(dst, text []byte) []byte {
	if utf8.Valid(text) {
		return append(dst, text...)
	}
	for len(text) > 0 {
		c, n := utf8.DecodeRune(text)
		dst = utf8.AppendRune(dst, c)
		text = text[n:]
	}
	return dst
}

// escaped has the meaning of each character that may follow a backslash, except u.
var escaped = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// escapeLen returns the length of the escape at the beginning of b, or 0 if it is not
// one.
func escapeLen(b []byte) int {
	if len(b) >= 2 && escaped[b[1]] != 0 {
		return 2
	}
	if hex4(b) >= 0 {
		return 6
	}
	return 0
}

// unescape returns the character of the escape at the beginning of b, and how many bytes
// it has. A pair of surrogates is one character. Half a pair is U+FFFD.
func unescape(b []byte) (c rune, used int) {
	if c := escaped[b[1]]; c != 0 {
		return rune(c), 2
	}
	c = hex4(b)
	if !utf16.IsSurrogate(c) {
		return c, 6
	}
	if pair := utf16.DecodeRune(c, hex4(b[6:])); pair != unicode.ReplacementChar {
		return pair, 12
	}
	return unicode.ReplacementChar, 6
}

// nibble has the value of each hexadecimal digit, and 255 for every other byte.
var nibble = func() (table [256]byte) {
	for c := range table {
		switch c := byte(c); {
		case '0' <= c && c <= '9':
			table[c] = c - '0'
		case 'a' <= c && c <= 'f':
			table[c] = c - 'a' + 10
		case 'A' <= c && c <= 'F':
			table[c] = c - 'A' + 10
		default:
			table[c] = 255
		}
	}
	return table
}()

// hex4 returns the number in an escape such as \u20ac at the beginning of b, or -1 if b
// begins with something else.
func hex4(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	w, x, y, z := nibble[b[2]], nibble[b[3]], nibble[b[4]], nibble[b[5]]
	if w|x|y|z > 15 {
		return -1
	}
	return rune(w)<<12 | rune(x)<<8 | rune(y)<<4 | rune(z)
}

// plainEnd returns the index of the first byte from i on that is a quote, a backslash
// or a control character, or the length of data.
func plainEnd(data []byte, i int) int {
	for ; i+8 <= len(data); i += 8 {
		if mask := unplain(binary.LittleEndian.Uint64(data[i:])); mask != 0 {
			return i + bits.TrailingZeros64(mask)/8
		}
	}
	for ; i < len(data); i++ {
		if c := data[i]; c == '"' || c == '\\' || c < ' ' {
			return i
		}
	}
	return i
}

// unplain looks at eight bytes at once. The lowest bit of the result is the top bit of
// the first byte that is not plain, or the result is 0. Subtracting borrows from the
// next byte only if a byte is smaller than what is subtracted, so no byte below the
// first one is reported. (The test for a zero byte is from H. Warren, Hacker's Delight,
// section 6-1.)
func unplain(w uint64) uint64 {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	quote, backslash := w^ones*'"', w^ones*'\\'
	return ((quote-ones)&^quote | (backslash-ones)&^backslash | (w-ones*' ')&^w) & tops
}
