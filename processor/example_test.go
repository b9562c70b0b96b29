package processor_test

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// A record that cannot be decoded or processed goes unchanged to a topic of its own, with
// headers that say why. All other records go on. An application sets the policy in
// Config.Errors.
func ExampleErrorPolicy() {
	t := topologytest.ForExample()
	b := topology.New()
	words := topology.Source(b, "words", serde.String, serde.String)
	topology.TryMapValues(words, strconv.Atoi, serde.JSON[int](), topology.Named("number")).To("numbers")
	topo, err := b.Build()
	if err != nil {
		t.Fatalf("%v", err)
	}

	d := topologytest.New(t, topo, topologytest.ErrorPolicy(processor.ErrorPolicy{
		Decode: processor.DeadLetter, Process: processor.DeadLetter, DeadLetterTopic: "dead-letters",
	}))
	in := topologytest.Input(d, "words", serde.String, serde.String)
	in.Send("a", "1", time.UnixMilli(0))
	in.Send("b", "two", time.UnixMilli(0))
	for _, r := range d.Topic("dead-letters") {
		text, _ := r.Headers.Get(processor.DeadLetterError)
		node, _ := r.Headers.Get(processor.DeadLetterNode)
		offset, _ := r.Headers.Get(processor.DeadLetterOffset)
		fmt.Printf("%s: %s\nnode %s, offset %s: %s\n", r.Key, r.Value, node, offset, text)
	}
	// Output:
	// b: two
	// node number, offset 1: strconv.Atoi: parsing "two": invalid syntax
}

var errBusy = errors.New("the service is busy")

// Handle decides for each error: a temporary error is retried, any other record is
// skipped.
func ExampleErrorPolicy_handle() {
	t := topologytest.ForExample()
	b := topology.New()
	calls := 0
	topology.Source(b, "orders", serde.String, serde.String).ForEach(func(r processor.Record[string, string]) error {
		calls++
		switch {
		case r.Value == "bad":
			return errors.New("bad order")
		case calls == 1:
			return errBusy
		}
		fmt.Println("done:", r.Value)
		return nil
	})
	topo, err := b.Build()
	if err != nil {
		t.Fatalf("%v", err)
	}

	d := topologytest.New(t, topo, topologytest.ErrorPolicy(processor.ErrorPolicy{
		Handle: func(err *processor.Error) processor.Action {
			fmt.Println(err)
			if errors.Is(err, errBusy) {
				return processor.Retry
			}
			return processor.Skip
		},
	}))
	in := topologytest.Input(d, "orders", serde.String, serde.String)
	in.Send("1", "good", time.UnixMilli(0))
	in.Send("2", "bad", time.UnixMilli(0))
	// Output:
	// node orders-forEach: process: record orders/0@0: the service is busy
	// done: good
	// node orders-forEach: process: record orders/0@1: bad order
}

var sums = state.KeyValue("sums", serde.String, serde.Int64)

// perMinute adds the values of each key, and forwards the sums once a minute.
type perMinute struct {
	sums state.KeyValueStore[string, int64]
}

// Patient says that an idle worker need not commit a sum early. The punctuator's records
// are committed as usual.
func (p *perMinute) Patient() bool { return true }

func (p *perMinute) Init(ctx processor.Context[string, int64]) error {
	p.sums = state.Open(ctx, sums)
	ctx.Every(time.Minute, processor.WallClock, p.send)
	return nil
}

func (p *perMinute) Process(_ processor.Context[string, int64], r processor.Record[string, int64]) error {
	sum, _, err := p.sums.Get(r.Key)
	if err != nil {
		return err
	}
	return p.sums.Put(r.Key, sum+r.Value)
}

func (p *perMinute) send(ctx processor.Context[string, int64], now time.Time) error {
	for e, err := range p.sums.All() {
		if err != nil {
			return err
		}
		ctx.Forward(processor.NewRecord(e.Key, e.Value, processor.TimestampOf(now)))
	}
	return nil
}

func ExamplePatient() {
	t := topologytest.ForExample()
	b := topology.New()
	sales := topology.Source(b, "sales", serde.String, serde.Int64)
	topology.Process(sales, "per-minute", func() *perMinute { return &perMinute{} }, serde.String, serde.Int64, sums).To("sums")
	topo, err := b.Build()
	if err != nil {
		t.Fatalf("%v", err)
	}

	d := topologytest.New(t, topo)
	in := topologytest.Input(d, "sales", serde.String, serde.Int64)
	in.Send("tea", 2, time.UnixMilli(0))
	in.Send("tea", 3, time.UnixMilli(0))
	d.Advance(time.Minute)
	for _, r := range d.Topic("sums") {
		sum, err := serde.Int64.Decode(r.Value)
		fmt.Println(string(r.Key), sum, err)
	}
	// Output: tea 5 <nil>
}
