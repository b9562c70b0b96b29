// Simplest counts the words of its standard input, every two seconds. It has its own
// broker:
//
//	go run ./examples/simplest
package main

import (
	"bufio"
	"context"
	"log"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/examples/internal/broker"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir := must(os.MkdirTemp("", "simplest")) // a service uses a permanent directory
	defer os.RemoveAll(dir)
	brokers, stopBroker, err := broker.Embedded(dir)
	check(err)
	defer stopBroker()
	client := must(kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic("lines")))
	defer client.Close()
	check(broker.Create(ctx, client, 1, "lines"))
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			client.Produce(ctx, kgo.StringRecord(lines.Text()), nil)
		}
	}()

	b := topology.New()
	lines := topology.Source(b, "lines", serde.String, serde.String)
	words := topology.FlatMapValues(lines, strings.Fields, serde.String)
	batch.CountByValue(batch.Every(words, "words", 2*time.Second), "counts").Print(os.Stdout)
	t := must(b.Build())
	app := must(millrace.New(t, millrace.Config{ApplicationID: "simplest", Brokers: brokers, StateDir: dir}))
	check(app.Run(ctx))
}

func must[T any](v T, err error) T { check(err); return v }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
