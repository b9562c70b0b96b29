package integration

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestDeletedOffsets: the broker has deleted the offsets. If the stop records or the disk
// know them, every record is counted once. Otherwise the start is refused until the
// operator decides.
func TestDeletedOffsets(t *testing.T) {
	for _, guarantee := range []string{"exactly-once", "at-least-once"} {
		t.Run(guarantee, func(t *testing.T) {
			t.Parallel()
			l := &losing{app: kafka(t).app(t, 2), want: map[string]int64{}}
			if guarantee == "at-least-once" {
				l.flags = []string{"-at-least-once"}
			}
			repartition := l.application + "-by-value-repartition"
			l.count(l.start()).stop()
			l.deleteOffsets(l.in, repartition)
			l.count(l.start()).stop() // the disk is there
			l.deleteOffsets(l.in, repartition)
			l.dir = filepath.Join(t.TempDir(), "another")
			l.count(l.start()).stop() // the disk is lost

			l.deleteOffsets(repartition)
			l.forgetStops(repartition)
			l.count(l.start()).kill() // the disk knows the offsets

			l.deleteOffsets(l.in, repartition)
			l.dir = filepath.Join(t.TempDir(), "third")
			l.refused("LostOffsets", l.in+"/0", repartition+"/1")
			l.count(l.start("-lost-offsets", "latest")).stop()
			l.c.checkCounts(t, l.out, l.want, scenario{every: true})
		})
	}
}

// TestRecreatedInput: the broker drops the offsets of a topic that is deleted.
func TestRecreatedInput(t *testing.T) {
	t.Parallel()
	l := &losing{app: kafka(t).app(t, 2), want: map[string]int64{}}
	l.count(l.start()).stop()
	l.c.deleteTopic(t, l.in)
	l.c.createTopic(t, l.in, 2)
	l.refused("RecreatedInputs", "created again", l.in+"/0")
	l.count(l.start("-recreated-inputs", "earliest")).stop()
	l.count(l.start()).stop()
	l.c.checkCounts(t, l.out, l.want, scenario{every: true})
}

// losing is an application whose offsets are lost, and the counts that it has to reach.
type losing struct {
	*app
	flags []string
	want  map[string]int64
}

func (l *losing) start(more ...string) *process { return l.app.start(append(l.flags, more...)...) }

// count produces records and waits until p has counted them.
func (l *losing) count(p *process) *process {
	l.t.Helper()
	p.line("state running")
	for key, n := range l.app.count(p, 200, 10) {
		l.want[key] += n
	}
	return p
}

// refused starts a process that must end with an error that contains these words.
func (l *losing) refused(words ...string) {
	l.t.Helper()
	text, err := l.start().ended()
	if err == nil {
		l.t.Error("the process ended without an error")
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			l.t.Errorf("the error does not mention %q:\n%s", word, tail(text, 5))
		}
	}
}

// forgetStops deletes the records of where tasks were stopped.
func (l *losing) forgetStops(topic string) {
	l.t.Helper()
	client := l.c.client(l.t)
	for p := range 2 {
		record := &kgo.Record{Topic: l.application + "-stores-registry", Key: fmt.Appendf(nil, "stop/%s/%d", topic, p)}
		if err := client.ProduceSync(l.t.Context(), record).FirstErr(); err != nil {
			l.t.Fatal(err)
		}
	}
}

// deleteOffsets deletes offsets as soon as the group has no members.
func (l *losing) deleteOffsets(topics ...string) {
	l.t.Helper()
	admin := l.c.admin(l.t)
	for {
		groups, err := admin.DescribeGroups(l.t.Context(), l.application)
		if err != nil {
			l.t.Fatal(err)
		}
		if groups[l.application].State == "Empty" {
			break
		}
		pause(10 * time.Millisecond)
	}
	var set kadm.TopicsSet
	for _, topic := range topics {
		set.Add(topic, 0, 1)
	}
	deleted, err := admin.DeleteOffsets(l.t.Context(), l.application, set)
	if err = errors.Join(err, deleted.Error()); err != nil {
		l.t.Fatal(err)
	}
}
