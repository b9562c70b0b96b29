package topology_test

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

var spent = state.KeyValue("spent", serde.String, serde.Float64)

// budget forwards, for each payment, what the customer has spent so far.
type budget struct {
	spent state.KeyValueStore[string, float64]
}

func (p *budget) Init(ctx processor.FixedKeyContext[string, float64]) error {
	p.spent = state.Open(ctx.Stores(), spent)
	return nil
}

func (p *budget) Process(ctx processor.FixedKeyContext[string, float64], r processor.FixedKeyRecord[string, float64]) error {
	sum, _, err := p.spent.Get(r.Key())
	if err != nil {
		return err
	}
	sum += r.Value()
	ctx.Forward(processor.WithFixedKeyValue(r, sum))
	return p.spent.Put(r.Key(), sum)
}

// A processor that cannot change the key has stores and punctuators too. Counting by key
// behind it needs no repartition topic.
func ExampleProcessValues() {
	b := topology.New()
	payments := topology.Source(b, "payments", serde.String, serde.Float64)
	sums := topology.ProcessValues(payments, "budget", func() *budget { return &budget{} }, serde.Float64, spent)
	sums.To("sums")
	high := sums.Filter(func(sum float64) bool { return sum > 100 })
	topology.GroupByKey(high, "by-customer").Count("warnings").Stream().To("warnings-out")

	d := start(b)
	in := topologytest.Input(d, "payments", serde.String, serde.Float64)
	for i, amount := range []float64{70, 40, 20} {
		in.Send("ann", amount, time.UnixMilli(int64(1000*i)))
	}
	printTopic(d, "sums", serde.Float64)
	printTopic(d, "warnings-out", serde.Int64)
	fmt.Println(d.Topics())
	// Output:
	// sums: ann 70
	// sums: ann 110
	// sums: ann 130
	// warnings-out: ann 1
	// warnings-out: ann 2
	// [payments sums test-spent-changelog test-warnings-changelog warnings-out]
}
