package integration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/seedtest"
)

const (
	tablePartitions = 2
	tableKeys       = 40
)

// tableJob is a process that looks the keys of questions up in a table, whose topic is
// its changelog. Timestamps increase over both topics, and records are there before the
// process starts. So a question has one right answer: the row at its time.
type tableJob struct {
	*app
	rng   *rand.Rand
	table string
	plain *kgo.Client // writes questions
	txns  *kgo.Client // writes rows, in transactions

	at   time.Time         // of the last record
	rows map[string]string // at that time
	want []string          // answers
}

// TestSourceAsChangelog: a process is killed, and its disk is lost. Its table has the
// rows of the topic again, up to the records that were processed. The topic stays as it
// is.
func TestSourceAsChangelog(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	j := &tableJob{app: c.app(t, tablePartitions), rng: seedtest.Rand(t, "./integration"), table: name(t, "table"), rows: map[string]string{}}
	// compaction must not be ahead of the process
	c.createTopicWith(t, j.table, tablePartitions, map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "3600000"})
	j.plain, j.txns = c.client(t), c.client(t, kgo.TransactionalID(j.table))
	j.at = time.Now().Add(-time.Hour)
	settings := j.settings()

	for _, loseDisk := range []bool{false, true} {
		j.produce(24_000)
		p := j.start()
		j.hasBegun()
		p.kill()
		if loseDisk {
			j.loseDisk()
		}
	}
	j.produce(1000)
	j.finish()
	records := j.records()
	j.loseDisk()
	j.askForAll()
	j.finish()
	c.timedOut(t, j.out)
	j.check()

	c.alter(t, j.table, "cleanup.policy", "delete")
	p := j.startWith()
	if told, want := p.line("retention "), fmt.Sprint(j.table, " ", j.table, " delete 168h0m0s "); !strings.HasPrefix(told, want) || !strings.Contains(told, "set cleanup.policy=compact") {
		t.Errorf("the hook was told %q, want it to begin with %q", told, want)
	}
	j.refused(p, "use topology.SourceAsChangelog again")
	j.refused(j.start(), "table "+j.table, "cleanup.policy=delete", "set cleanup.policy=compact on topic "+j.table)
	c.alter(t, j.table, "cleanup.policy", "compact")
	if after := j.settings(); !maps.Equal(settings, after) {
		t.Errorf("settings of the table's topic: %v, before: %v", after, settings)
	}
	if after := j.records(); !slices.Equal(records, after) {
		t.Errorf("the table's topic has %d records, before: %d, or others", len(after), len(records))
	}
	topics, err := c.admin(t).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics.Names() {
		if strings.HasPrefix(topic, j.application+"-") && strings.HasSuffix(topic, "-changelog") {
			t.Errorf("there is a topic %s", topic)
		}
	}
}

// start starts the process.
func (j *tableJob) start() *process { return j.startWith("-source-as-changelog") }

// startWith starts the process with these options. Its timeouts are short, because the
// next process waits for them if the disk was lost.
func (j *tableJob) startWith(options ...string) *process {
	j.t.Helper()
	return j.app.start(append(options, "-table", j.table, "-session", "3s", "-transaction", "3s")...)
}

// produce sends n records: questions, and changes of rows. Some changes cannot be
// decoded, and some are aborted. The process must not be running.
func (j *tableJob) produce(n int) {
	j.t.Helper()
	for range 4 {
		j.begin()
		for range n / 4 {
			if key := keyOf(j.rng.IntN(tableKeys)); j.rng.IntN(4) > 0 {
				j.ask(key)
			} else {
				j.change(key)
			}
		}
		j.end(kgo.TryCommit)
		j.begin()
		for range 5 {
			j.row(keyOf(j.rng.IntN(tableKeys)), int64Value(-1))
		}
		j.end(kgo.TryAbort)
	}
	if err := j.plain.Flush(j.t.Context()); err != nil {
		j.t.Fatal(err)
	}
}

// change sends a change of a row, or a record that cannot be decoded.
func (j *tableJob) change(key string) {
	switch n := j.rng.Int64N(1000); {
	case n < 50:
		j.row(key, []byte("bad"))
	case n < 250:
		j.row(key, nil)
		delete(j.rows, key)
	default:
		j.row(key, int64Value(n))
		j.rows[key] = strconv.FormatInt(n, 10)
	}
}

// row sends a record of the table's topic.
func (j *tableJob) row(key string, value []byte) {
	j.at = j.at.Add(time.Millisecond)
	j.txns.Produce(j.t.Context(), &kgo.Record{Topic: j.table, Key: []byte(key), Value: value, Timestamp: j.at}, j.produced)
}

func (j *tableJob) produced(_ *kgo.Record, err error) {
	if err != nil {
		j.t.Errorf("the broker refused a record: %v", err)
	}
}

func (j *tableJob) begin() {
	if err := j.txns.BeginTransaction(); err != nil {
		j.t.Fatal(err)
	}
}

func (j *tableJob) end(how kgo.TransactionEndTry) {
	j.t.Helper()
	if err := errors.Join(j.txns.Flush(j.t.Context()), j.txns.EndTransaction(j.t.Context(), how)); err != nil {
		j.t.Fatal(err)
	}
}

// ask sends a question.
func (j *tableJob) ask(key string) {
	j.at = j.at.Add(time.Millisecond)
	question := fmt.Sprintf("%s? %d", key, len(j.want))
	answer := "-"
	if row, ok := j.rows[key]; ok {
		answer = row
	}
	j.want = append(j.want, question+" "+answer)
	j.plain.Produce(j.t.Context(), &kgo.Record{Topic: j.in, Key: []byte(key), Value: []byte(question), Timestamp: j.at}, j.produced)
}

// askForAll asks for the row of each key. The rows are those that a plain reader of the
// topic finds.
func (j *tableJob) askForAll() {
	j.t.Helper()
	rows := map[string]string{}
	j.c.committed(j.t, j.table, func(r *kgo.Record) {
		switch {
		case r.Value == nil:
			delete(rows, string(r.Key))
		case len(r.Value) == 8:
			rows[string(r.Key)] = strconv.FormatUint(binary.BigEndian.Uint64(r.Value), 10)
		}
	})
	if !maps.Equal(rows, j.rows) {
		j.t.Errorf("the topic has the rows %v, sent were %v", rows, j.rows)
	}
	for i := range tableKeys {
		j.ask(keyOf(i))
	}
	if err := j.plain.Flush(j.t.Context()); err != nil {
		j.t.Fatal(err)
	}
}

// hasBegun waits until the process has committed some of the questions that were sent
// last.
func (j *tableJob) hasBegun() {
	j.t.Helper()
	admin := j.c.admin(j.t)
	before := int64(-1)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); pause(5 * time.Millisecond) {
		offsets, err := admin.FetchOffsets(j.t.Context(), j.application)
		if err != nil {
			continue
		}
		var sum int64
		for p := range int32(tablePartitions) {
			at, _ := offsets.Lookup(j.in, p)
			sum += at.At
		}
		if before >= 0 && sum > before {
			j.t.Logf("killed when %d of %d questions were answered", sum, len(j.want))
			return
		}
		before = sum
	}
	j.t.Fatal("the process has committed nothing")
}

// finish lets a process answer all questions.
func (j *tableJob) finish() {
	j.t.Helper()
	p := j.start()
	j.c.drained(j.t, []*process{p}, j.application, j.in, j.table)
	p.stop()
}

func (j *tableJob) loseDisk() {
	j.t.Helper()
	if err := os.RemoveAll(j.dir); err != nil {
		j.t.Fatal(err)
	}
}

// check compares the answers.
func (j *tableJob) check() {
	j.t.Helper()
	var got []string
	j.c.committed(j.t, j.out, func(r *kgo.Record) { got = append(got, string(r.Value)) })
	slices.Sort(got)
	want := slices.Sorted(slices.Values(j.want))
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			j.t.Fatalf("there are %d answers, want %d; the first that differs is %q, want %q", len(got), len(want), got[min(i, len(got)-1)], want[i])
		}
	}
	if len(got) != len(want) {
		j.t.Errorf("there are %d answers, want %d", len(got), len(want))
	}
}

// refused checks that a process ends with an error that contains these words.
func (j *tableJob) refused(p *process, words ...string) {
	j.t.Helper()
	text, err := p.ended()
	if err == nil {
		j.t.Error("the process ended without an error")
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			j.t.Errorf("the error does not mention %q:\n%s", word, tail(text, 5))
		}
	}
}

// settings returns the settings of the table's topic.
func (j *tableJob) settings() map[string]string {
	j.t.Helper()
	configs, err := j.c.admin(j.t).DescribeTopicConfigs(j.t.Context(), j.table)
	if err != nil {
		j.t.Fatal(err)
	}
	settings := map[string]string{}
	for _, config := range configs[0].Configs {
		settings[config.Key] = config.MaybeValue()
	}
	return settings
}

// records returns the records of the table's topic.
func (j *tableJob) records() (all []string) {
	j.t.Helper()
	j.c.committed(j.t, j.table, func(r *kgo.Record) {
		all = append(all, fmt.Sprintf("%d@%d %s=%x of %v", r.Partition, r.Offset, r.Key, r.Value, r.Timestamp.UnixMilli()))
	})
	slices.Sort(all)
	return all
}

func int64Value(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
