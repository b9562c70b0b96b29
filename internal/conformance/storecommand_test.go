package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/sessionstore"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/versionedstore"
	"github.com/millrace-streams/millrace/windowstore"
)

// storeCommandExists returns an error if the processor store-cmd has no commands for a
// kind of store.
func storeCommandExists(kind string) error {
	switch kind {
	case "kv", "timestamped-kv", "window", "session", "versioned":
		return nil
	}
	return notYet("commands for a %s store", kind)
}

// storeCommand executes the value of the record as a command, and forwards the result,
// which may be an error.
func (h *handler) storeCommand(r processor.Record[any, any]) error {
	result, err := h.runCommand(strings.Split(strings.TrimRight(javaText(r.Value), " "), " "))
	if err != nil {
		result = commandError + err.Error()
	}
	return h.forwardValue(r, result)
}

// commandError is the prefix of the result of a failed command.
const commandError = "error: "

func (h *handler) runCommand(words []string) (string, error) {
	c := command{words: words[1:], keys: h.stores[0].keys}
	switch h.params.text("store") {
	case "window":
		s, err := openStore[windows](h)
		if err != nil {
			return "", err
		}
		return c.onWindows(s, words[0])
	case "session":
		s, err := openStore[sessions](h)
		if err != nil {
			return "", err
		}
		return c.onSessions(s, words[0])
	case "versioned":
		s, err := openStore[versions](h)
		if err != nil {
			return "", err
		}
		return c.onVersions(s, words[0])
	}
	s, err := h.keyValue()
	if err != nil {
		return "", err
	}
	if h.params.text("store") == "timestamped-kv" {
		return c.onTimestamped(s, words[0])
	}
	return c.onKeyValue(s, words[0])
}

// command are the arguments of a command.
type command struct {
	words []string
	keys  *dynamic
}

// arg returns an argument. ~ is null.
func (c command) arg(i int) any {
	if i >= len(c.words) || c.words[i] == "~" {
		return nil
	}
	return c.words[i]
}

func (c command) at(i int) processor.Timestamp {
	n, err := strconv.ParseInt(c.words[i], 10, 64)
	if err != nil {
		panic(err) // a mistake in the corpus
	}
	return processor.Timestamp(n)
}

func unknown(name string) (string, error) { return "", fmt.Errorf("no command %q", name) }

const ok = "ok"

func (c command) onKeyValue(s keyValue, name string) (string, error) {
	switch name {
	case "put":
		return ok, s.Put(c.arg(0), c.arg(1))
	case "putAll":
		return ok, c.putAll(s)
	case "putIfAbsent":
		return text(s.PutIfAbsent(c.arg(0), c.arg(1)))
	case "delete":
		return text(s.Delete(c.arg(0)))
	case "get":
		if c.arg(0) == nil {
			return "null", nil
		}
		return text(s.Get(c.arg(0)))
	}
	if name == "prefixScan" && c.arg(0) == nil {
		return "", errNullArg
	}
	rows := c.keyValueRows(s, name)
	if rows == nil {
		return unknown(name)
	}
	return list(rows, func(e state.Entry[any, any]) string { return javaText(e.Key) + "=" + javaText(e.Value) })
}

// putAll puts nothing if one of the keys is null.
func (c command) putAll(s keyValue) error {
	for i := 0; i < len(c.words); i += 2 {
		if c.arg(i) == nil {
			return errNullArg
		}
	}
	for i := 0; i+1 < len(c.words); i += 2 {
		if err := s.Put(c.arg(i), c.arg(i+1)); err != nil {
			return err
		}
	}
	return nil
}

var errNullArg = errors.New("an argument is null")

// keyValueRows returns the rows of a range command. A null bound is open.
func (c command) keyValueRows(s keyValue, name string) iter.Seq2[state.Entry[any, any], error] {
	from, to := c.arg(0), c.arg(1)
	switch name {
	case "all":
		return s.All()
	case "reverseAll":
		return s.ReverseAll()
	case "prefixScan":
		return s.PrefixScan([]byte(javaText(from)))
	case "range":
		switch {
		case from == nil && to == nil:
			return s.All()
		case from == nil:
			return s.To(to)
		case to == nil:
			return s.From(from)
		}
		return s.Range(from, to)
	case "reverseRange":
		switch {
		case from == nil && to == nil:
			return s.ReverseAll()
		case from == nil:
			return s.ReverseTo(to)
		case to == nil:
			return s.ReverseFrom(from)
		}
		return s.ReverseRange(from, to)
	}
	return nil
}

func (c command) onTimestamped(s keyValue, name string) (string, error) {
	switch name {
	case "put":
		if c.arg(1) == nil {
			// in Java the timestamp is a part of the value, and null has none
			return ok, s.Put(c.arg(0), nil)
		}
		return ok, s.PutTimestamped(c.arg(0), c.arg(1), c.at(2))
	case "get":
		v, at, found, err := s.GetTimestamped(c.arg(0))
		if !found || err != nil {
			return "null", err
		}
		return timestamped(v, at), nil
	case "all":
		return list(s.All(), func(e state.Entry[any, any]) string { return javaText(e.Key) + "=" + timestamped(e.Value, e.Timestamp) })
	}
	return unknown(name)
}

func timestamped(v any, at processor.Timestamp) string {
	return fmt.Sprintf("%s^%d", javaText(v), int64(at))
}

func (c command) onWindows(s windows, name string) (string, error) {
	switch name {
	case "put":
		return ok, s.Put(c.arg(0), c.arg(1), c.at(2))
	case "get":
		return text(s.Get(c.arg(0), c.at(1)))
	case "fetch", "backwardFetch":
		fetch := s.Fetch
		if name == "backwardFetch" {
			fetch = s.ReverseFetch
		}
		return list(fetch(c.arg(0), c.at(1), c.at(2)), func(e windowstore.Entry[any, any]) string {
			return fmt.Sprintf("%d=%s", int64(e.Start), javaText(e.Value))
		})
	}
	rows := c.windowRows(s, name)
	if rows == nil {
		return unknown(name)
	}
	return list(rows, func(e windowstore.Entry[any, any]) string {
		return fmt.Sprintf("%s@%d-%d=%s", javaText(e.Key), int64(e.Start), int64(e.End), javaText(e.Value))
	})
}

func (c command) windowRows(s windows, name string) iter.Seq2[windowstore.Entry[any, any], error] {
	switch name {
	case "all":
		return s.All()
	case "backwardAll":
		return s.ReverseAll()
	case "fetchAll":
		return s.FetchAll(c.at(0), c.at(1))
	case "backwardFetchAll":
		return s.ReverseFetchAll(c.at(0), c.at(1))
	case "fetchRange":
		if c.arg(0) == nil || c.arg(1) == nil {
			return within(c, s.FetchAll(c.at(2), c.at(3)), windowKey)
		}
		return s.FetchRange(c.arg(0), c.arg(1), c.at(2), c.at(3))
	case "backwardFetchRange":
		if c.arg(0) == nil || c.arg(1) == nil {
			return within(c, s.ReverseFetchAll(c.at(2), c.at(3)), windowKey)
		}
		return s.ReverseFetchRange(c.arg(0), c.arg(1), c.at(2), c.at(3))
	}
	return nil
}

func (c command) onSessions(s sessions, name string) (string, error) {
	switch name {
	case "put":
		return ok, s.Put(c.arg(0), c.arg(3), c.at(1), c.at(2))
	case "remove":
		return ok, s.Delete(c.arg(0), c.at(1), c.at(2))
	case "fetchSession":
		return text(s.Get(c.arg(0), c.at(1), c.at(2)))
	}
	rows := c.sessionRows(s, name)
	if rows == nil {
		return unknown(name)
	}
	return list(rows, func(e sessionstore.Entry[any, any]) string {
		return fmt.Sprintf("%s@%d-%d=%s", javaText(e.Key), int64(e.Start), int64(e.End), javaText(e.Value))
	})
}

func (c command) sessionRows(s sessions, name string) iter.Seq2[sessionstore.Entry[any, any], error] {
	const never = math.MaxInt64
	switch name {
	case "find":
		return s.Find(c.arg(0), c.at(1), c.at(2))
	case "backwardFind":
		return s.ReverseFind(c.arg(0), c.at(1), c.at(2))
	case "fetch":
		return s.Find(c.arg(0), 0, never)
	case "backwardFetch":
		return s.ReverseFind(c.arg(0), 0, never)
	case "findRange":
		if c.arg(0) == nil || c.arg(1) == nil {
			return within(c, s.FindAll(c.at(2), c.at(3)), sessionKey)
		}
		return s.FindRange(c.arg(0), c.arg(1), c.at(2), c.at(3))
	case "backwardFindRange":
		if c.arg(0) == nil || c.arg(1) == nil {
			return within(c, s.ReverseFindAll(c.at(2), c.at(3)), sessionKey)
		}
		return s.ReverseFindRange(c.arg(0), c.arg(1), c.at(2), c.at(3))
	case "fetchRange":
		if c.arg(0) == nil || c.arg(1) == nil {
			return within(c, s.FindAll(0, never), sessionKey)
		}
		return s.FindRange(c.arg(0), c.arg(1), 0, never)
	case "backwardFetchRange":
		if c.arg(0) == nil || c.arg(1) == nil {
			return within(c, s.ReverseFindAll(0, never), sessionKey)
		}
		return s.ReverseFindRange(c.arg(0), c.arg(1), 0, never)
	}
	return nil
}

// onVersions executes a command for a versioned store. As in Java, put returns the end of
// the version, -1 if it has none, and the smallest number if the version was refused.
func (c command) onVersions(s versions, name string) (string, error) {
	switch name {
	case "put":
		to, kept, err := s.Put(c.arg(0), c.arg(1), c.at(2))
		switch {
		case err != nil:
			return "", err
		case !kept:
			to = math.MinInt64
		case to == versionedstore.NoEnd:
			to = -1
		}
		return fmt.Sprint(int64(to)), nil
	case "delete":
		return version(s.Delete(c.arg(0), c.at(1)))
	case "get":
		return version(s.Get(c.arg(0)))
	case "getAsOf":
		return version(s.GetAsOf(c.arg(0), c.at(1)))
	}
	return unknown(name)
}

// version is the text of a version. In Java, a version that was looked up has no end.
func version(v versionedstore.Version[any], found bool, err error) (string, error) {
	if !found || err != nil {
		return "null", err
	}
	return timestamped(v.Value, v.From) + ">-", nil
}

func sessionKey(e sessionstore.Entry[any, any]) any { return e.Key }
func windowKey(e windowstore.Entry[any, any]) any   { return e.Key }

// within leaves out the rows whose keys are outside of the first two arguments. One of
// the arguments may be open.
func within[E any](c command, rows iter.Seq2[E, error], keyOf func(E) any) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		for e, err := range rows {
			if err == nil && (c.compare(keyOf(e), c.arg(0)) < 0 || c.compare(keyOf(e), c.arg(1)) > 0) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// compare compares the bytes of two keys. An open bound equals every key.
func (c command) compare(key, bound any) int {
	if bound == nil {
		return 0
	}
	return bytes.Compare(must(c.keys.Append(nil, key)), must(c.keys.Append(nil, bound)))
}

// text is the result of a command that returns a value.
func text(v any, found bool, err error) (string, error) {
	if !found || err != nil {
		return "null", err
	}
	return javaText(v), nil
}

func list[E any](rows iter.Seq2[E, error], show func(E) string) (string, error) {
	var out []string
	for e, err := range rows {
		if err != nil {
			return "", err
		}
		out = append(out, show(e))
	}
	return "[" + strings.Join(out, ",") + "]", nil
}
