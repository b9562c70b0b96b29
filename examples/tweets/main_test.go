package main

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// asProgram is set in the environment of a process that runs the program instead of the
// tests.
const asProgram = "TWEETS_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestFlags(t *testing.T) {
	t.Parallel()
	o, err := parse(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !o.embedded() || o.interval != 5*time.Second || o.window != time.Minute || o.duration != 0 || o.name != "tweets" || len(o.terms) == 0 || len(o.domains) == 0 {
		t.Errorf("the defaults are %+v", o)
	}
	o, err = parse([]string{"-brokers", "a:9092,b:9092", "-terms", " Kafka, ,GO lang,", "-domains", "GitHub.com", "-interval", "2s", "-window", "6s", "-prefix", ""}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.terms, list{"kafka", "go lang"}) || !slices.Equal(o.domains, list{"github.com"}) || o.embedded() || o.interval != 2*time.Second || o.prefix != "" {
		t.Errorf("the options are %+v", o)
	}
	if o, err = parse([]string{"-terms", ""}, io.Discard); err != nil || len(o.terms) != 0 {
		t.Errorf("no terms: %+v (%v)", o, err)
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ args, want string }{
		{"kafka", `"kafka"`},
		{"-interval 0s", "-interval 0s"},
		{"-interval -1s", "-interval -1s"},
		{"-interval 1us -window 1us", "-interval 1µs"},
		{"-duration -1s", "-duration -1s"},
		{"-brokers a:9092,,b:9092", "-brokers a:9092,,b:9092"},
		{"-window 7s", "-window 7s"},
		{"-window 1s", "-window 1s"},
		{"-interval 7s", "-interval 7s: the window of 1m0s is not a multiple of it; set one with -window"},
		{"-interval 2m", "-interval 2m0s: the window of 1m0s"},
		{"-interval 2m -window 1m", "-window 1m0s: want a multiple of -interval 2m0s"},
		{"-name=", `-name ""`},
		{"-name a/b", `-name "a/b"`},
		{"-name .", `-name "."`},
		{"-rate 0", "-rate 0"},
		{"-rate x", "-rate"},
		{"-unknown", "-unknown"},
	} {
		var said bytes.Buffer
		if _, err := parse(strings.Fields(test.args), &said); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v, want one that has %s", test.args, err, test.want)
		}
	}
}
