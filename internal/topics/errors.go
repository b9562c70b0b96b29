package topics

import (
	"fmt"
	"strings"
)

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
			"Give them %d partitions again, or stop all instances, reset the application (delete its internal topics, its group's offsets and its state directories) and start it again",
			e.Found, e.Want, e.Found))
	}
	if len(e.Configs) > 0 {
		wrong = append(wrong, strings.Join(e.Configs, "; ")+". Alter the topic's configuration")
	}
	return fmt.Sprintf("internal topic %q (%s) does not fit: %s", e.Topic, e.Kind, strings.Join(wrong, "; and "))
}
