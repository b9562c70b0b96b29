package topics

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrMissingSource is in the chain of every MissingSourceError.
var ErrMissingSource = errors.New("source topic does not exist")

// MissingSourceError names the topics that the application reads and nobody has created.
type MissingSourceError struct{ Topics []string }

func (e *MissingSourceError) Error() string {
	names := slices.Sorted(slices.Values(e.Topics))
	for i, n := range names {
		names[i] = fmt.Sprintf("%q", n)
	}
	return fmt.Sprintf("%v: %s: create it, or correct the name in the topology; the library creates internal topics only",
		ErrMissingSource, strings.Join(names, ", "))
}

func (e *MissingSourceError) Unwrap() error { return ErrMissingSource }

// MismatchError says that an internal topic exists but is not what the application needs.
type MismatchError struct {
	Topic   string
	Kind    Kind
	Found   int32 // partitions
	Want    int32
	Configs []string // what is wrong with its configuration, in words
}

func (e *MismatchError) Error() string {
	var wrong []string
	if e.Found != e.Want {
		wrong = append(wrong, fmt.Sprintf("it has %d partitions, expected %d: the number of partitions of the topics that it is derived from has changed. "+
			"Give them %d partitions again, or stop all instances, reset the application (delete its internal topics and its state directories) and start it again",
			e.Found, e.Want, e.Found))
	}
	if len(e.Configs) > 0 {
		wrong = append(wrong, strings.Join(e.Configs, "; ")+". Alter the topic's configuration")
	}
	return fmt.Sprintf("internal topic %q (%s) does not fit: %s", e.Topic, e.Kind, strings.Join(wrong, "; and "))
}
