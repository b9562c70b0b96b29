package topicid

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestParseReadsWhatFormatWrites(t *testing.T) {
	t.Parallel()
	for _, id := range []kadm.TopicID{{}, {1, 2, 255}, {15: 0xfb}} {
		if got, err := Parse(Format(id)); err != nil || got != id {
			t.Errorf("%v became %v, %v", id, got, err)
		}
	}
	for _, text := range []string{"", "AAAA", "no base64!"} {
		if id, err := Parse(text); err == nil {
			t.Errorf("%q was read as %v", text, id)
		}
	}
}
