package millrace_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/windowstore"
)

var (
	lastPage = state.KeyValue("last-page", serde.String, serde.String)
	visits   = windowstore.New("visits", serde.String, serde.String, time.Minute, time.Hour)
)

// tracker keeps each visitor's last page, and the last page of each minute.
type tracker struct {
	last   state.KeyValueStore[string, string]
	visits windowstore.Store[string, string]
}

func (p *tracker) Init(ctx processor.Context[string, string]) error {
	p.last, p.visits = state.Open(ctx, lastPage), windowstore.Open(ctx, visits)
	return nil
}

func (p *tracker) Process(_ processor.Context[string, string], r processor.Record[string, string]) error {
	if err := p.last.Put(r.Key, r.Value); err != nil {
		return err
	}
	return p.visits.Put(r.Key, r.Value, r.Timestamp-r.Timestamp%60_000)
}

// The specs of a processor's stores can be queried directly: a row with its timestamp,
// rows by prefix, the last rows first, and the windows of all keys.
func ExampleQueryable() {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "pages"))
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close()
	dir, err := os.MkdirTemp("", "millrace") // an application uses a directory that stays
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	b := topology.New()
	pages := topology.Source(b, "pages", serde.String, serde.String)
	topology.Process(pages, "track", func() *tracker { return new(tracker) }, serde.String, serde.String, lastPage, visits)
	t, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}
	app, err := millrace.New(t, millrace.Config{ApplicationID: "tracks", Brokers: broker.ListenAddrs(), StateDir: dir})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- app.Run(ctx) }()

	client, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.DefaultProduceTopic("pages"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for i, visit := range []string{"eu/ann /home", "us/bob /help", "eu/cid /cart"} {
		name, page, _ := strings.Cut(visit, " ")
		at := time.Unix(int64(60*i), 0)
		client.ProduceSync(ctx, &kgo.Record{Key: []byte(name), Value: []byte(page), Timestamp: at})
	}

	var row millrace.Row[string, string]
	for tick := time.NewTicker(20 * time.Millisecond); row.Value == ""; <-tick.C {
		// An error is ErrNotHere: the task is not here yet.
		row, _, _ = millrace.GetRow(ctx, app, lastPage, "eu/cid")
	}
	fmt.Println(row.Key, row.Value, row.Timestamp)
	for row, err := range millrace.Prefix(ctx, app, lastPage, []byte("eu/")) {
		fmt.Println("prefix:", row.Key, row.Value, err)
	}
	for row, err := range millrace.Range(ctx, app, lastPage, nil, nil, millrace.Reverse(), millrace.Limit(1)) {
		fmt.Println("last:", row.Key, row.Value, err)
	}
	for row, err := range millrace.AllWindows(ctx, app, visits, time.Unix(60, 0), time.Unix(120, 0)) {
		fmt.Println("window:", row.Key, row.Value, err)
	}
	cancel()
	fmt.Println(<-done)
	// Output:
	// eu/cid /cart 1970-01-01T00:02:00.000Z
	// prefix: eu/ann /home <nil>
	// prefix: eu/cid /cart <nil>
	// last: us/bob /help <nil>
	// window: [eu/cid@120000/180000] /cart <nil>
	// window: [us/bob@60000/120000] /help <nil>
	// <nil>
}
