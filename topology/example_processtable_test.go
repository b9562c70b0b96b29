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

var highest = state.KeyValue("highest", serde.String, serde.Int64)

// leagues gives each player the league of the player's highest score. A player without a
// score has no league.
type leagues struct {
	highest state.KeyValueStore[string, int64]
}

func (p *leagues) Init(ctx processor.FixedKeyContext[string, string]) error {
	p.highest = state.Open(ctx.Stores(), highest)
	return nil
}

func (p *leagues) Process(ctx processor.FixedKeyContext[string, string], r processor.FixedKeyRecord[string, int64]) error {
	if r.NoValue() {
		ctx.Forward(processor.WithFixedKeyValue(r, "").WithoutValue())
		_, _, err := p.highest.Delete(r.Key())
		return err
	}
	score, _, err := p.highest.Get(r.Key())
	if err != nil {
		return err
	}
	score = max(score, r.Value())
	league := "silver"
	if score >= 100 {
		league = "gold"
	}
	ctx.Forward(processor.WithFixedKeyValue(r, league))
	return p.highest.Put(r.Key(), score)
}

// The rows of a table are computed by a processor that has a store. Stored keeps the
// result, so that it can be grouped: a player who changes the league leaves the old one.
func ExampleProcessTable() {
	b := topology.New()
	scores := topology.SourceTable(b, "scores", serde.String, serde.Int64)
	league := topology.ProcessTable(scores, "leagues", func() *leagues { return &leagues{} }, serde.String, highest).Stored("league-of")
	itself := func(league string) string { return league }
	topology.GroupTable(league, "by-league", itself, serde.String).Count("players").Stream().To("players-out")

	d := start(b)
	in := topologytest.Input(d, "scores", serde.String, serde.Int64)
	for i, score := range []int64{70, 120, 80} {
		in.Send("ann", score, time.UnixMilli(int64(1000*i)))
	}
	in.SendRecord(processor.Record[string, int64]{Key: "ann", NoValue: true, Timestamp: 3000})
	printTopic(d, "players-out", serde.Int64)
	for _, topic := range d.Topics() {
		fmt.Println(topic)
	}
	// Output:
	// players-out: silver 1
	// players-out: silver 0
	// players-out: gold 1
	// players-out: gold 1
	// players-out: gold 0
	// players-out
	// scores
	// test-by-league-repartition
	// test-highest-changelog
	// test-league-of-changelog
	// test-players-changelog
	// test-scores-changelog
}
