package jsonscan

import "strconv"

// number consumes a number and returns its bytes, which belong to the input.
func (r *reader) number() (number []byte, ok bool) {
	start, i := r.pos, r.pos
	if i < len(r.data) && r.data[i] == '-' {
		i++
	}
	whole := digits(r.data, i)
	if whole == i || r.data[i] == '0' && whole > i+1 {
		return nil, false
	}
	i = whole
	if i < len(r.data) && r.data[i] == '.' {
		fraction := digits(r.data, i+1)
		if fraction == i+1 {
			return nil, false
		}
		i = fraction
	}
	if i < len(r.data) && (r.data[i] == 'e' || r.data[i] == 'E') {
		if i++; i < len(r.data) && (r.data[i] == '+' || r.data[i] == '-') {
			i++
		}
		exponent := digits(r.data, i)
		if exponent == i {
			return nil, false
		}
		i = exponent
	}
	r.pos = i
	return r.data[start:i], true
}

// digits returns the index of the first byte from i on that is no digit, or the length of
// data.
func digits(data []byte, i int) int {
	for i < len(data) && '0' <= data[i] && data[i] <= '9' {
		i++
	}
	return i
}

// exact is the largest number of digits with which every integer fits an int64.
const exact = 18

// small returns the value of a number of at most 18 digits, without a sign. ok is false
// for all other numbers.
func small(number []byte) (n int64, ok bool) {
	if len(number) > exact {
		return 0, false
	}
	for _, c := range number {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func parseInt(number []byte) (n int64, ok bool) {
	if n, ok = small(number); ok {
		return n, true
	}
	n, err := strconv.ParseInt(string(number), 10, 64)
	return n, err == nil
}

func parseUint(number []byte) (n uint64, ok bool) {
	if n, ok := small(number); ok {
		return uint64(n), true
	}
	n, err := strconv.ParseUint(string(number), 10, 64)
	return n, err == nil
}

// parseFloat returns the nearest number that a float of so many bits holds. An integer is
// converted to the type at once. Through a float64, a float32 would be rounded twice.
func parseFloat(number []byte, bits int) (f float64, ok bool) {
	if n, ok := small(number); ok {
		if bits == 32 {
			return float64(float32(n)), true
		}
		return float64(n), true
	}
	f, err := strconv.ParseFloat(string(number), bits)
	return f, err == nil
}
