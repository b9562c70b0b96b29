package integration

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/seedtest"
)

// timedRecord is a record of a topic that the worker reads with -timed.
type timedRecord struct {
	key, value string
	at         int64 // ms
}

// timedJob is a worker with -timed that is killed, and the records that it was given.
type timedJob struct {
	*app
	also        string
	left, right []timedRecord
}

const timedPartitions = 2

// Sessions, sliding windows and outer joins of streams hold after kill -9, with the disk
// and without it. A model that sees all records at once judges them.
func TestKillTimed(t *testing.T) {
	for guarantee, args := range map[string][]string{"exactly once": nil, "at least once": {"-at-least-once"}} {
		t.Run(guarantee, func(t *testing.T) {
			t.Parallel()
			c := kafka(t)
			j := &timedJob{app: c.app(t, timedPartitions), also: name(t, "also")}
			c.createTopic(t, j.also, timedPartitions)
			j.kill(args)
			c.timedOut(t, j.out)
			j.check(len(args) == 0)
		})
	}
}

// kill produces records, kills the worker at a random point, and repeats that. At the end
// the worker finishes the work.
func (j *timedJob) kill(args []string) {
	random := seedtest.Rand(j.t, "./integration")
	start := func() *process {
		return j.app.start(append([]string{"-timed", "-also", j.also}, args...)...)
	}
	base := time.Now().Add(-72 * time.Hour).Truncate(time.Minute).UnixMilli()
	p := start()
	const kills, perChunk, keys = 4, 2000, 20
	for k := range kills + 1 {
		var left, right []timedRecord
		for i := range perChunk {
			r := timedRecord{keyOf(random.IntN(keys)), fmt.Sprint(k, ".", i), base + int64(k)*60_000 + int64(random.IntN(90_000))}
			if random.IntN(2) == 0 {
				left = append(left, r)
			} else {
				right = append(right, r)
			}
		}
		j.produce(left, right)
		if k == kills {
			break
		}
		p.line("state running") // a new identity waits for the session of the old one
		pause(time.Duration(random.IntN(600)) * time.Millisecond)
		p.kill()
		if k%2 == 1 {
			if err := os.RemoveAll(j.dir); err != nil {
				j.t.Fatal(err)
			}
		}
		p = start()
	}
	j.close(base + (48 * time.Hour).Milliseconds())
	j.c.drained(j.t, []*process{p}, j.application, j.in, j.also)
	p.stop()
}

func (j *timedJob) produce(left, right []timedRecord) {
	j.t.Helper()
	j.left, j.right = append(j.left, left...), append(j.right, right...)
	client := j.c.client(j.t)
	for topic, records := range map[string][]timedRecord{j.in: left, j.also: right} {
		for _, r := range records {
			client.Produce(j.t.Context(), &kgo.Record{Topic: topic, Key: []byte(r.key), Value: []byte(r.value), Timestamp: time.UnixMilli(r.at)}, nil)
		}
	}
	if err := client.Flush(j.t.Context()); err != nil {
		j.t.Fatal(err)
	}
}

// closing is the key of the records that end the waiting of all others.
const closing = "closing"

// close moves the stream time of each task so far that no record waits for a partner.
func (j *timedJob) close(at int64) {
	client := j.c.client(j.t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for _, topic := range []string{j.in, j.also} {
		for p := range int32(timedPartitions) {
			r := &kgo.Record{Topic: topic, Partition: p, Key: []byte(closing), Value: []byte("x"), Timestamp: time.UnixMilli(at)}
			if err := client.ProduceSync(j.t.Context(), r).FirstErr(); err != nil {
				j.t.Fatal(err)
			}
		}
	}
}

// check compares the results with the model. At least once, records may count twice, but
// none is lost.
func (j *timedJob) check(exactly bool) {
	j.t.Helper()
	rows, pairs := map[string]string{}, map[string]int{}
	j.c.committed(j.t, j.out, func(r *kgo.Record) {
		key, value := string(r.Key), string(r.Value)
		switch {
		case strings.Contains(key, closing):
		case strings.HasPrefix(key, "join "):
			pairs[key+" "+value]++
		case value == "0":
			delete(rows, key)
		default:
			rows[key] = value
		}
	})
	wantRows, wantPairs := j.model()
	if exactly && !maps.Equal(rows, wantRows) {
		j.t.Errorf("%d rows of windows, want %d; differences: %v", len(rows), len(wantRows), differences(rows, wantRows))
	}
	if exactly && !maps.Equal(pairs, wantPairs) {
		j.t.Errorf("%d results of the join, want %d; differences: %v", len(pairs), len(wantPairs), differences(pairs, wantPairs))
	}
	for row := range wantRows {
		if rows[row] == "" {
			j.t.Errorf("the row %s is missing", row)
		}
	}
	for pair := range wantPairs {
		if pairs[pair] == 0 {
			j.t.Errorf("the result %s is missing", pair)
		}
	}
}

// differences names a few keys at which two maps differ.
func differences[V comparable](got, want map[string]V) (some []string) {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got[key] != want[key] && len(some) < 10 {
			some = append(some, fmt.Sprintf("%s: got %v, want %v", key, got[key], want[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; !ok && len(some) < 20 {
			some = append(some, fmt.Sprintf("%s: got %v, want none", key, got[key]))
		}
	}
	return some
}

// model returns the rows of sessions and sliding windows, and the results of the join
// with how often each one comes, of all records together.
func (j *timedJob) model() (rows map[string]string, pairs map[string]int) {
	rows, pairs = map[string]string{}, map[string]int{}
	times := map[string][]int64{}
	for _, r := range j.left {
		times[r.key] = append(times[r.key], r.at)
	}
	for key, at := range times {
		slices.Sort(at)
		modelSessions(rows, key, at)
		modelSliding(rows, key, at)
	}
	j.modelJoin(pairs)
	return rows, pairs
}

const modelGap, modelSize, modelWithin = 1000, 1000, 500 // ms, as in worker/timed.go

func modelSessions(rows map[string]string, key string, at []int64) {
	for first := 0; first < len(at); {
		last := first
		for last+1 < len(at) && at[last+1]-at[last] <= modelGap {
			last++
		}
		rows[fmt.Sprintf("session %s %d %d", key, at[first], at[last])] = fmt.Sprint(last - first + 1)
		first = last + 1
	}
}

// modelSliding has a window that ends with each record, and one that begins a millisecond
// behind each record, if there are records in it.
func modelSliding(rows map[string]string, key string, at []int64) {
	for _, t := range at {
		for _, start := range []int64{t - modelSize, t + 1} {
			n := 0
			for _, other := range at {
				if start <= other && other <= start+modelSize {
					n++
				}
			}
			if n > 0 {
				rows[fmt.Sprintf("sliding %s %d %d", key, start, start+modelSize)] = fmt.Sprint(n)
			}
		}
	}
}

func (j *timedJob) modelJoin(pairs map[string]int) {
	matched := map[string]bool{}
	for _, l := range j.left {
		for _, r := range j.right {
			if l.key == r.key && max(l.at-r.at, r.at-l.at) <= modelWithin {
				pairs[fmt.Sprintf("join %s %s+%s", l.key, l.value, r.value)]++
				matched["l"+l.value], matched["r"+r.value] = true, true
			}
		}
		if !matched["l"+l.value] {
			pairs[fmt.Sprintf("join %s %s+", l.key, l.value)]++
		}
	}
	for _, r := range j.right {
		if !matched["r"+r.value] {
			pairs[fmt.Sprintf("join %s +%s", r.key, r.value)]++
		}
	}
}
