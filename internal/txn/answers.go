package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// answers makes the client wait with the broker's answers to produce requests. It is a
// hook of the client.
//
// The client fails all records that it holds for a partition when one batch is refused.
// Records that are produced after that moment start a new sequence, and may be accepted
// although they come after the refused ones. The client must therefore have a whole group
// before it handles an answer to a part of it.
type answers struct {
	// how much the client can hold; bytes 0: no limit
	records, bytes int

	held chan struct{} // holds a token while answers wait, or while one passes
}

func newAnswers() answers { return answers{held: make(chan struct{}, 1)} }

// room learns how much the client can hold.
func (a *answers) room(cl *kgo.Client) {
	records, _ := cl.OptValue(kgo.MaxBufferedRecords).(int64)
	bytes, _ := cl.OptValue(kgo.MaxBufferedBytes).(int64)
	a.records, a.bytes = max(int(records), 1), int(bytes)
}

// hold calls produce. Until it returns, no answer to a produce request is handled.
// produce must not wait for one: what it produces must fit into the client.
func (a *answers) hold(produce func()) {
	a.held <- struct{}{}
	defer func() { <-a.held }()
	produce()
}

// OnBrokerRead is called by the client before it handles an answer.
func (a *answers) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == kmsg.Produce.Int16() {
		a.held <- struct{}{}
		<-a.held
	}
}

var _ kgo.HookBrokerRead = (*answers)(nil)

// userSize is the size of a record as the client counts it for its MaxBufferedBytes.
func userSize(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}
