package topics

import (
	"fmt"
	"strings"
)

// MismatchError says that an existing internal topic does not fit the application.
type MismatchError struct {
	Topic   string
	Kind    Kind
	Found   int32 // partitions
	Want    int32
	Configs []Finding // the settings for which the topic is refused

	// Command fixes the configuration, including settings that only cause a warning. It
	// is empty if the configuration is right.
	Command string
}

func (e *MismatchError) Error() string {
	var wrong []string
	if e.Found != e.Want {
		wrong = append(wrong, fmt.Sprintf("it has %d partitions, expected %d: the number of partitions of the topics that it is derived from has changed. "+
			"Give them %d partitions again, or stop all instances, reset the application (see \"Starting over\" in the documentation of package millrace: delete its internal topics, its group's offsets and its state directories) and start it again",
			e.Found, e.Want, e.Found))
	}
	for _, f := range e.Configs {
		wrong = append(wrong, f.String())
	}
	text := fmt.Sprintf("internal topic %q (%s) does not fit: %s", e.Topic, e.Kind, strings.Join(wrong, "; "))
	if e.Command != "" && len(e.Configs) > 0 {
		text += ". To fix its configuration: " + e.Command
	}
	return text
}

// Command returns the command that sets the expected values of the findings on a topic.
// It is empty if nothing can be set.
func Command(brokers []string, topic string, findings []Finding) string {
	var set []string
	for _, f := range findings {
		value := f.Want
		if strings.Contains(value, ",") {
			value = "[" + value + "]"
		}
		if !f.LeftOut {
			set = append(set, f.Setting+"="+value)
		}
	}
	if len(set) == 0 {
		return ""
	}
	return fmt.Sprintf("kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config '%s'",
		strings.Join(brokers, ","), topic, strings.Join(set, ","))
}
