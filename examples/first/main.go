// First is the program of the README: it counts words from one topic into another.
package main

import (
	"cmp"
	"context"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

func main() {
	b := topology.New()
	lines := topology.Source(b, "lines", serde.String, serde.String)
	words := topology.FlatMapValues(lines, strings.Fields, serde.String)
	byWord := topology.GroupBy(words, "by-word", strings.ToLower, serde.String)
	counts := byWord.Count("counts")
	counts.Stream().To("word-counts")
	t, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}

	app, err := millrace.New(t, millrace.Config{
		ApplicationID: "first",
		Brokers:       []string{cmp.Or(os.Getenv("BROKER"), "localhost:9092")},
		StateDir:      "first-state",
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// when ctx ends, Run drains, commits and leaves the group
	if err := app.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
