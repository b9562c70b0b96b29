package processor_test

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
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
