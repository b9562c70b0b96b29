// Command gen writes the sample of tweets that package sample embeds.
//
// The same seed and number of lines give the same lines on every machine. All text comes
// from the templates in the folder text. Nobody wrote these tweets, and apart from rmoff
// no account is meant to exist.
package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"os"
)

const (
	defaultSeed  = 20181010
	defaultLines = 6000
)

func main() {
	out := flag.String("o", "tweets.jsonl.gz", "file to write")
	seed := flag.Uint64("seed", defaultSeed, "seed of the random choices")
	lines := flag.Int("n", defaultLines, "number of lines")
	flag.Parse()

	if err := run(*out, *seed, *lines); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(path string, seed uint64, lines int) error {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := generate(z, seed, lines); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, packed.Bytes(), 0o644)
}

// generate writes lines of JSON to w. Each line ends with a newline.
func generate(w io.Writer, seed uint64, lines int) error {
	g, err := newGenerator(seed)
	if err != nil {
		return err
	}
	for i := range lines {
		line, err := g.line()
		if err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return nil
}
