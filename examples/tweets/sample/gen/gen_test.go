package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
)

// TestReproduces checks that the seed still gives the embedded lines. It compares them
// uncompressed, because another release of Go may compress them differently.
func TestReproduces(t *testing.T) {
	t.Parallel()
	f, err := os.Open("../tweets.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := generate(&got, defaultSeed, defaultLines); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the generator no longer makes the lines of tweets.jsonl.gz: run go generate in the folder above, and commit its result")
	}
}

func TestSeedDecides(t *testing.T) {
	t.Parallel()
	lines := func(seed uint64) string {
		var b bytes.Buffer
		if err := generate(&b, seed, 50); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	first, again := lines(1), lines(1)
	if first != again {
		t.Error("one seed gives different lines")
	}
	if first == lines(2) {
		t.Error("two seeds give the same lines")
	}
}

// TestBrokenKinds checks that a decoder that needs only the text and the author refuses
// each kind of broken line.
func TestBrokenKinds(t *testing.T) {
	t.Parallel()
	g, err := newGenerator(7)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 600 {
		line, err := g.broken(g.original(g.languages[i%len(g.languages)], start))
		if err != nil {
			t.Fatal(err)
		}
		var small struct {
			Text string
			User struct {
				ScreenName string `json:"screen_name"`
			}
		}
		if json.Unmarshal(line, &small) == nil {
			t.Errorf("kind %d decodes: %q", i%6, line)
		}
		if bytes.ContainsRune(line, '\n') || len(line) == 0 {
			t.Errorf("kind %d is not one line: %q", i%6, line)
		}
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a/b":  `"a\/b"`,
		"né":   `"n\u00e9"`,
		"猫":    `"\u732b"`,
		"🎂":    `"\ud83c\udf82"`,
		`"<&\`: `"\"\u003c\u0026\\"`,
	} {
		got, err := encode(in)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("encode(%q) = %s, want %s", in, got, want)
		}
		var back string
		if err := json.Unmarshal(got, &back); err != nil || back != in {
			t.Errorf("%s decodes to %q (%v), want %q", got, back, err, in)
		}
	}
}

func TestEntities(t *testing.T) {
	t.Parallel()
	g := &generator{
		byName: map[string]*author{"rmoff": {user: User{ID: 7, ScreenName: "rmoff"}}},
		links:  map[string]string{"https://t.co/abcdefghij": "https://www.confluent.io/blog/streams-and-tables-part-2/"},
	}
	e := g.entities("😀 @RMOFF @nobody #1 #kafka: https://t.co/abcdefghij #猫 RT https://t.co/abcd… @rmo…")
	got, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"hashtags":[{"text":"kafka","indices":[20,26]},{"text":"猫","indices":[52,54]}],` +
		`"urls":[{"url":"https://t.co/abcdefghij","expanded_url":"https://www.confluent.io/blog/streams-and-tables-part-2/",` +
		`"display_url":"confluent.io/blog/streams-a…","indices":[28,51]}],` +
		`"user_mentions":[{"screen_name":"rmoff","name":"","id":7,"id_str":"7","indices":[2,8]}],"symbols":[]}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestParseGrammar(t *testing.T) {
	t.Parallel()
	g, err := parseGrammar("f", "; a comment\n= a\nx | 2* y\nz {b}\n\n= b\n3 * 4\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(g["a"], ","); got != "x,y,y,z {b}" {
		t.Errorf("section a is %q", got)
	}
	if got := strings.Join(g["b"], ","); got != "3 * 4" {
		t.Errorf("section b is %q", got)
	}
	if err := g.check(nil); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"x\n":              "before the first section",
		"= a\nx\n= a\ny":   "second time",
		"= a\n= b\nx":      "is empty",
		"= a\nx {c}":       "nothing is called",
		"= topics\ncats\n": "no section",
	} {
		g, err := parseGrammar("f", text)
		if err == nil {
			err = g.check(nil)
		}
		if err == nil {
			err = g.checkTopics()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}
