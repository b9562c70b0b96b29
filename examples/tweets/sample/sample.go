// Package sample holds 20 minutes of made-up tweets, so that the examples, the benchmarks and their tests run without an account
// anywhere.
//
// A line is one tweet in JSON, as the streaming part of Twitter's API v1.1 delivered it in October 2018: ASCII only, everything
// else as \u escapes. The lines come in the order of arrival: created_at rises for 20 minutes from 20:19:24 UTC on 10 October
// 2018, by five tweets a second, but some tweets come a few seconds late. IDs are unique and carry the time too.
//
// About 3 in 10 tweets are retweets, with the original in retweeted_status; nearly 4 in 10 have a link; ten languages occur, and
// und for tweets without words. Few authors write much and many write little. About 1 line in 200 is broken on purpose: cut off,
// with stray bytes, with fields of a wrong type, or no JSON at all. None of these decodes into a struct
// that has text as a string and user as a struct.
//
// The command in gen made the sample from templates. Nobody wrote these tweets, whatever the names of their authors.
package sample

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"iter"
)

//go:generate go run ./gen -o tweets.jsonl.gz

//go:embed tweets.jsonl.gz
var packed []byte

// Count is the number of lines, the broken ones included.
const Count = 6000

// Lines yields every line without its newline, the broken ones included, always in the same order. Each loop over it starts at the
// first line and unpacks as it goes; loops may run at the same time. A slice that was yielded belongs to the caller, who may keep and
// change it.
func Lines() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		z, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return // cannot be: the data is part of the program, and a test reads all of it
		}
		r := bufio.NewReader(z)
		for {
			line, err := r.ReadBytes('\n')
			if err != nil {
				return
			}
			if !yield(line[: len(line)-1 : len(line)-1]) {
				return
			}
		}
	}
}
