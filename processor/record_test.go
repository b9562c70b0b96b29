package processor_test

import (
	"fmt"
	"testing"

	"github.com/millrace-streams/millrace/processor"
)

func TestTimestampsAndHeadersPrintReadably(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		processor.Timestamp(1500).String(): "1970-01-01T00:00:01.500Z",
		processor.Timestamp(-1).String():   "-1",
		fmt.Sprint(processor.Headers{{Key: "batch", Value: []byte("5000")}, {Key: "mark"}, {Key: "raw", Value: []byte{0}}}): `[batch="5000" mark raw="\x00"]`,
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
