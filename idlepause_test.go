package millrace

import (
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// fillMemory sends records to the topic bulk that take more memory than fetched records
// may. Until the gate opens, they are not processed, and nothing more is fetched.
func (w *idleWorld) fillMemory() {
	w.Helper()
	const size = minBufferMemory / 16
	for range 32 {
		r := &kgo.Record{Topic: "bulk", Value: bytes.Repeat([]byte("x"), size)}
		if err := w.cl.ProduceSync(w.Context(), r).FirstErr(); err != nil {
			w.Fatal(err)
		}
	}
	<-time.After(5 * time.Second)
	if got := w.app.Snapshot().BufferedBytes; got < minBufferMemory {
		w.Fatalf("%d bytes of records are buffered: the memory is not used up", got)
	}
}

// TestIdleTimeEndsInAPause: while the memory for records is used up, an input is not
// fetched. Its records wait in Kafka, so it is not idle.
func TestIdleTimeEndsInAPause(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			inWorld(t, idleWorld{bulky: true}, guarantee, func(w *idleWorld) {
				w.send(50)
				<-time.After(5 * time.Second)
				w.fillMemory()
				w.send(55)
				<-time.After(time.Minute)
				w.expect("while the memory is used up")
				close(w.gate)
				<-time.After(15 * time.Second)
				w.expect("afterwards")
				<-time.After(10 * time.Second)
				w.expect("when the input was idle", "2 in minute 0")
			})
		})
	}
}

// TestIdleTimeGoesOnInAPauseWithoutRecords: an input that is not fetched has nothing to
// fetch. Kafka confirms it, so its windows close.
func TestIdleTimeGoesOnInAPauseWithoutRecords(t *testing.T) {
	t.Parallel()
	inWorld(t, idleWorld{bulky: true}, ExactlyOnce, func(w *idleWorld) {
		w.send(50)
		<-time.After(5 * time.Second)
		w.fillMemory()
		<-time.After(20 * time.Second)
		w.expect("while the memory is used up", "1 in minute 0")
		close(w.gate)
	})
}
