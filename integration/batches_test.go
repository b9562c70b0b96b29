package integration

import (
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/internal/seedtest"
)

// TestBatchesKill kills processes that count in batches. It checks that no batch is lost
// or doubled, that all results of a batch count the same records, and that nothing is
// printed twice.
func TestBatchesKill(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]scenario{
		"one process":                 {processes: 1},
		"lost disk":                   {processes: 1, loseDisk: true},
		"two processes and lost disk": {processes: 2, loseDisk: true, leave: true},
		"at least once":               {processes: 1, atLeastOnce: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := kafka(t)
			j := newBatchJob(t, c, s)
			j.torment(tortureOf())
			j.finish()
			j.check()
		})
	}
}

// batchJob is an application that counts batches, in processes that are killed.
type batchJob struct {
	t *testing.T
	c *cluster
	s scenario

	application, in, rowsTo, totalsTo string
	dirs                              []string
	running                           []*process
	logs, printed                     strings.Builder // of processes that have ended

	sent map[string]int64 // by value
}

const (
	batchInterval = time.Second
	batchValues   = 50
)

func newBatchJob(t *testing.T, c *cluster, s scenario) *batchJob {
	j := &batchJob{
		t: t, c: c, s: s, sent: map[string]int64{}, running: make([]*process, s.processes),
		application: name(t, "app"), in: name(t, "in"), rowsTo: name(t, "rows"), totalsTo: name(t, "totals"),
	}
	c.createTopic(t, j.in, 4)
	c.createTopic(t, j.rowsTo, 3)
	c.createTopic(t, j.totalsTo, 1)
	c.cleanUp(t, j.application)
	for i := range s.processes {
		j.dirs = append(j.dirs, filepath.Join(t.TempDir(), "state"))
		j.launch(i)
	}
	return j
}

func (j *batchJob) launch(i int) {
	args := []string{
		"-brokers", j.c.brokers, "-app", j.application, "-in", j.in, "-out", j.rowsTo, "-also-out", j.totalsTo,
		"-state-dir", j.dirs[i], "-interval", batchInterval.String(),
	}
	if j.s.atLeastOnce {
		args = append(args, "-at-least-once")
	}
	j.running[i] = start(j.t, worker, args...)
}

// end collects the output of a process after its end.
func (j *batchJob) end(i int) {
	text, err := os.ReadFile(j.running[i].logTo.Name())
	if err != nil {
		j.t.Fatal(err)
	}
	j.logs.Write(text)
	for line := range j.running[i].lines {
		j.printed.WriteString(line + "\n")
	}
	for _, wiped := range j.running[i].wiped() {
		j.t.Errorf("state was wiped: %s", wiped)
	}
}

func (j *batchJob) send(n int) {
	for value, n := range j.c.produceKeyed(j.t, j.in, n, batchValues) {
		j.sent[value] += n
	}
}

func (j *batchJob) torment(with torture) {
	random := seedtest.Rand(j.t, "./integration")
	for k := range with.kills {
		j.send(with.records / with.kills / 2)
		i := random.IntN(j.s.processes)
		if j.s.leave && k%3 == 0 {
			other := (i + 1) % j.s.processes
			j.running[other].stop()
			j.end(other)
			j.launch(other)
		}
		if j.s.loseDisk {
			// a new identity waits for the session of the old one
			j.running[i].line("state running")
		}
		pause(time.Duration(random.Int64N(int64(2 * batchInterval))))
		j.send(with.records / with.kills / 2)
		pause(time.Duration(random.Int64N(int64(batchInterval / 4))))
		j.running[i].kill()
		j.end(i)
		if j.s.loseDisk && k%2 == 0 {
			if err := os.RemoveAll(j.dirs[i]); err != nil {
				j.t.Fatal(err)
			}
		}
		j.launch(i)
	}
}

// finish waits until everything that was sent is in a result, and stops the processes.
func (j *batchJob) finish() {
	all, c := sum(j.sent), j.c
	for deadline := time.Now().Add(patience); ; pause(batchInterval / 2) {
		rows, totals := j.results(c.read, j.rowsTo), j.results(c.read, j.totalsTo)
		if j.complete(rows) && inAll(totals) >= all {
			break
		}
		if time.Now().After(deadline) {
			j.t.Fatalf("the batches have %d records by value and %d in all, of %d", inAll(rows), inAll(totals), all)
		}
	}
	for i, p := range j.running {
		p.stop()
		j.end(i)
	}
}

// results reads a topic of counts, by the end of the batch and key.
func (j *batchJob) results(read func(*testing.T, string, func(*kgo.Record)), topic string) map[int64]map[string]int64 {
	j.t.Helper()
	out := map[int64]map[string]int64{}
	read(j.t, topic, func(r *kgo.Record) {
		end := r.Timestamp.UnixMilli()
		if i := slices.IndexFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == batch.HeaderBatch }); i < 0 || string(r.Headers[i].Value) != strconv.FormatInt(end, 10) {
			j.t.Errorf("%s: timestamp %d, headers %v", topic, end, r.Headers)
		}
		if out[end] == nil {
			out[end] = map[string]int64{}
		}
		if _, twice := out[end][string(r.Key)]; twice && !j.s.atLeastOnce {
			j.t.Errorf("%s: batch %d has key %q twice", topic, end, r.Key)
		}
		out[end][string(r.Key)] = int64(binary.BigEndian.Uint64(r.Value))
	})
	return out
}

// complete reports whether the rows have each value as often as it was sent. The sum of
// all would not do: with at-least-once, some values may be there too often already.
func (j *batchJob) complete(rows map[int64]map[string]int64) bool {
	got := map[string]int64{}
	for _, batch := range rows {
		for value, n := range batch {
			got[value] += n
		}
	}
	for value, n := range j.sent {
		if got[value] < n {
			return false
		}
	}
	return true
}

func inAll(results map[int64]map[string]int64) (n int64) {
	for _, rows := range results {
		n += sum(rows)
	}
	return n
}

func (j *batchJob) check() {
	rows, totals := j.results(j.c.committed, j.rowsTo), j.results(j.c.committed, j.totalsTo)
	ends := slices.Sorted(maps.Keys(totals))
	got := map[string]int64{}
	for _, end := range ends {
		for value, n := range rows[end] {
			got[value] += n
		}
		if !j.s.atLeastOnce && sum(rows[end]) != totals[end][""] {
			j.t.Errorf("batch %d: %d by value, %d in all", end, sum(rows[end]), totals[end][""])
		}
	}
	if j.s.atLeastOnce {
		for value, n := range j.sent {
			if got[value] < n {
				j.t.Errorf("%s: %d of %d: records were lost", value, got[value], n)
			}
		}
	} else if !maps.Equal(got, j.sent) {
		j.t.Errorf("the batches have %v, want %v", got, j.sent)
	}
	j.checkEnds(ends)
	j.checkPrinted(totals)
	j.t.Logf("%d batches, %d records, %d gaps", len(ends), sum(j.sent), strings.Count(j.logs.String(), "batches were not open in this task"))
}

// checkEnds checks that a batch is missing only where a process has logged that it did
// not run.
func (j *batchJob) checkEnds(ends []int64) {
	gaps := strings.Contains(j.logs.String(), "batches were not open in this task")
	for i := 1; i < len(ends); i++ {
		if d := ends[i] - ends[i-1]; d != batchInterval.Milliseconds() && !(gaps && d%batchInterval.Milliseconds() == 0) {
			j.t.Errorf("no batch between %d and %d", ends[i-1], ends[i])
		}
	}
}

var printedBatch = regexp.MustCompile(`Time: (.+)\n-+\n(\d+)\n\n`)

// checkPrinted checks that each batch was printed correctly and at most once.
func (j *batchJob) checkPrinted(totals map[int64]map[string]int64) {
	seen := map[string]bool{}
	for _, block := range printedBatch.FindAllStringSubmatch(j.printed.String(), -1) {
		if seen[block[1]] {
			j.t.Errorf("batch %s was printed twice", block[1])
		}
		seen[block[1]] = true
		at, err := time.ParseInLocation(time.DateTime, block[1], time.Local)
		if err != nil {
			j.t.Fatal(err)
		}
		end := at.UnixMilli()
		if n := strconv.FormatInt(totals[end][""], 10); !j.s.atLeastOnce && n != block[2] {
			j.t.Errorf("batch %d: %s was printed, want %s", end, block[2], n)
		}
	}
	if len(seen) == 0 {
		j.t.Error("nothing was printed")
	}
}
