// Package topicid writes and reads the IDs of topics as Kafka's tools print them.
package topicid

import (
	"encoding/base64"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Format returns the text of a topic ID: URL-safe base64 without padding.
func Format(id kadm.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Parse reads what Format has written.
func Parse(text string) (kadm.TopicID, error) {
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(data) != len(kadm.TopicID{}) {
		return kadm.TopicID{}, fmt.Errorf("%q is not a topic ID", text)
	}
	return kadm.TopicID(data), nil
}
