package conformance

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// offsetInText is the offset in a value that begins with the position of its record.
var offsetInText = regexp.MustCompile(`^(\S+)/(\d+)/\d+ `)

// offsetsOfPatterns allows other offsets of topics that match a pattern, in values that
// begin with the position of their record. The order of the records and everything else
// must be equal.
func offsetsOfPatterns(s *subject, d difference) bool {
	var matched []string
	for _, o := range s.c.Topology {
		matched = append(matched, o.texts("patternTopics")...)
	}
	if len(d.want) == 0 || len(d.want) != len(d.got) {
		return false
	}
	for i, w := range d.want {
		topic, _, found := strings.Cut(string(w.value), "/")
		got := d.got[i]
		got.Value = offsetInText.ReplaceAll(got.Value, []byte("$1/$2 "))
		w.value = offsetInText.ReplaceAll(bytes.Clone(w.value), []byte("$1/$2 "))
		if !found || !slices.Contains(matched, topic) || !sameRecord(w, got) {
			return false
		}
	}
	return true
}
