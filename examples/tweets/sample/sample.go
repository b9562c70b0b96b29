// Package sample contains 20 minutes of invented tweets, so that the examples, the
// benchmarks and their tests need no account.
//
// A line is one tweet in JSON, in the form of the streaming part of Twitter's API v1.1 in
// October 2018: ASCII only, with all other characters as \u escapes.
//
//   - The lines are in order of arrival. created_at rises for 20 minutes from 20:19:24
//     UTC on 10 October 2018, by five tweets per second, but some tweets arrive a few
//     seconds late.
//   - IDs are unique and contain the time too.
//   - About 3 in 10 tweets are retweets, with the original in retweeted_status.
//   - Nearly 4 in 10 tweets have a link.
//   - There are ten languages, and und for tweets without words.
//   - Few authors write much and many write little.
//   - About 1 line in 200 is broken on purpose: it is truncated, has stray bytes, has
//     fields of a wrong type, or is not JSON. A broken line does not decode into a struct
//     that has text as a string and user as a struct.
//
// The command in gen made the sample from templates. Nobody wrote these tweets, whatever
// the names of their authors.
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

// Count is the number of lines, including the broken ones.
const Count = 6000

// Lines yields every line without its newline, including the broken ones, always in the
// same order. Each loop starts at the first line and decompresses as it proceeds. Several
// loops may run at the same time. A yielded slice belongs to the caller, who may keep and
// change it.
func Lines() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		z, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			// cannot happen: the data is part of the program, and a test reads all of it
			return
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
