package main

import "slices"

// broken returns a line that does not decode into a tweet. The kinds take turns, so that
// each one occurs.
func (g *generator) broken(t *Tweet) ([]byte, error) {
	kinds := []func(*Tweet) ([]byte, error){g.cutOff, g.withStrayBytes, wrongText, wrongUser, inArray, notice}
	kind := kinds[g.spoilt%len(kinds)]
	g.spoilt++
	return kind(t)
}

// cutOff returns a truncated line, as after a lost connection.
func (g *generator) cutOff(t *Tweet) ([]byte, error) {
	line, err := encode(t)
	if err != nil {
		return nil, err
	}
	return line[:1+g.rng.IntN(len(line)-1)], nil
}

// withStrayBytes inserts a NUL and two bytes that UTF-8 never uses. The NUL is necessary:
// JSON allows it nowhere, while encoding/json replaces invalid UTF-8 inside a string and
// continues.
func (g *generator) withStrayBytes(t *Tweet) ([]byte, error) {
	line, err := encode(t)
	if err != nil {
		return nil, err
	}
	return slices.Insert(line, g.rng.IntN(len(line)), 0x00, 0xFF, 0xFE), nil
}

// wrongText, wrongUser and inArray return valid JSON that is not a tweet. The outer field
// hides the embedded one with the same name.
func wrongText(t *Tweet) ([]byte, error) {
	return encode(struct {
		*Tweet
		Text int `json:"text"`
	}{t, len(t.Text)})
}

func wrongUser(t *Tweet) ([]byte, error) {
	return encode(struct {
		*Tweet
		User string `json:"user"`
	}{t, t.User.ScreenName})
}

func inArray(t *Tweet) ([]byte, error) { return encode([]*Tweet{t}) }

// notice is what the server sends before it closes the connection.
func notice(*Tweet) ([]byte, error) { return []byte("Exceeded connection limit for user"), nil }
