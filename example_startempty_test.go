package millrace_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// firstResult is a hook that ends a run after its first committed record.
type firstResult struct{ stop func() }

func (f firstResult) OnCommit(c millrace.Commit) {
	if c.Records > 0 {
		f.stop()
	}
}

// A new version of a program counts the words that the earlier version only copied. The
// start is refused, because the counts would lack the words that were copied before.
// Config.StartEmpty accepts that, and is needed once.
func ExampleConfig_startEmpty() {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "words", "copies"))
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close()
	dir, err := os.MkdirTemp("", "millrace") // an application uses a directory that stays
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	producer, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.DefaultProduceTopic("words"))
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()

	// run runs a version of the program until it has committed a word.
	run := func(counting bool, startEmpty ...string) error {
		b := topology.New()
		words := topology.Source(b, "words", serde.String, serde.String)
		words.To("copies")
		if counting {
			topology.GroupByKey(words, "by-word").Count("counts")
		}
		t, err := b.Build()
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		app, err := millrace.New(t, millrace.Config{
			ApplicationID: "words", Brokers: broker.ListenAddrs(), StateDir: dir, StartEmpty: startEmpty,
			Hooks: []millrace.Hook{firstResult{stop}},
		})
		if err != nil {
			return err
		}
		if err := producer.ProduceSync(ctx, &kgo.Record{Key: []byte("tea")}).FirstErr(); err != nil {
			return err
		}
		return app.Run(ctx)
	}
	fmt.Println("without the store:", run(false))
	fmt.Println("with the store is refused:", run(true) != nil)
	fmt.Println("named in StartEmpty:", run(true, "counts"))
	fmt.Println("later:", run(true))
	// Output:
	// without the store: <nil>
	// with the store is refused: true
	// named in StartEmpty: <nil>
	// later: <nil>
}
