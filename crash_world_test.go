package millrace

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/jointest"
	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/internal/seam"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/serde"
)

// crashConfig configures one run.
type crashConfig struct {
	seed      uint64
	turn      uint64 // MILLRACE_SEED of this run alone
	processes int
	records   int           // at least; more until all mishaps have happened
	every     time.Duration // between two inputs
	// transactionTimeout is 2 s unless it is set.
	transactionTimeout time.Duration
	// session is crashSession unless it is set.
	session time.Duration
	// workers is 2 unless it is set; commitInterval 40 ms.
	workers        int
	commitInterval time.Duration
	guarantee      Guarantee
	mistake        seam.Mistake
	// migrate says that a new version of the program replaces the first one after a third
	// of the records. The format of some values changes.
	migrate bool
	// before is called before the first process starts.
	before func(*world)
	// plan returns what is to happen to a process, in order. nil: nothing.
	plan func(rng *rand.Rand, process int) []mishap
}

const (
	crashPartitions = 4
	crashKeys       = 12

	// crashPatience is how long the application may take to finish after the last mishap.
	// Nothing that it waits for takes longer than a few seconds.
	crashPatience = 90 * time.Second

	mostRecords = 4
)

// noShortcuts turns the shortcuts to rows off in every second run.
func (c crashConfig) noShortcuts() bool { return c.seed%2 == 1 }

// noCombining turns combining off in every second pair of runs.
func (c crashConfig) noCombining() bool { return c.seed/2%2 == 1 }

// rolling says, for every second four runs, that processes of both versions run together
// for a while.
func (c crashConfig) rolling() bool { return c.seed/4%2 == 1 }

// sweepRows is how many rows of earlier formats one commit converts.
func (c crashConfig) sweepRows() int { return 1 + int(c.seed%3) }

// world is a cluster with the processes of one application, on a virtual network and
// under a virtual clock.
type world struct {
	crashConfig
	cluster *kafkatest.Cluster
	ctx     context.Context // ends when the processes are to end for good
	calm    context.Context // ends when nothing may happen to them any more
	soothe  context.CancelFunc

	planned atomic.Int64 // mishaps that have not happened yet
	inputs  []*kgo.Record
	reader  *reader
	all     []*process
	outputs map[string][]*kgo.Record // what it has read, by topic

	mu         sync.Mutex
	log        bytes.Buffer
	violations []string
	complete   bool
	happened   map[string]int
	commits    int
	aborts     int
	restored   int             // stores that were restored
	comebacks  []time.Duration // of each life, from its start to its first commit
	migrated   bool            // new lives run the version that migrates
	old        int             // lives of the first version
}

// torture runs one world and returns it after the end.
func torture(t *testing.T, cfg crashConfig) *world {
	t.Helper()
	w := &world{crashConfig: cfg, happened: map[string]int{}}
	setDefault(&w.transactionTimeout, 2*time.Second)
	setDefault(&w.session, crashSession)
	setDefault(&w.workers, 2)
	setDefault(&w.commitInterval, 40*time.Millisecond)
	dir := t.TempDir()
	defer func() {
		// A part of the application still runs although Run has returned.
		if v := recover(); v != nil {
			w.violation("panic: %v", v)
			w.saveLog()
			panic(v)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		w.cluster = kafkatest.InBubble(t, kfake.NumBrokers(2), kfake.Ports(9092, 9093),
			kfake.SeedTopics(crashPartitions, append([]string{inTopic}, outTopics...)...))
		defer w.cluster.Close()
		w.run(dir)
	})
	return w
}

func (w *world) run(dir string) {
	var end context.CancelFunc
	w.ctx, end = context.WithCancel(context.Background())
	defer end()
	w.calm, w.soothe = context.WithCancel(context.Background())
	defer w.soothe()

	w.trace()
	if w.before != nil {
		w.before(w)
	}
	var processes sync.WaitGroup
	for i := range w.processes {
		w.all = append(w.all, newProcess(w, i, dir))
	}
	for _, p := range w.all {
		processes.Go(p.run)
	}
	w.awaitTopics()
	w.reader = newReader(w)
	var reading sync.WaitGroup
	reading.Go(w.reader.run)
	w.feed()
	pause(w.ctx, time.Second) // the last mishaps meet the last records
	w.soothe()
	w.awaitCompletion()
	end()
	processes.Wait()
	w.reader.cl.Close()
	reading.Wait()
	w.outputs = w.reader.records
	w.verify()
	w.saveLog()
}

// saveLog writes the log of a failed or requested run to $MILLRACE_TORTURE_LOG.
func (w *world) saveLog() {
	dir := os.Getenv("MILLRACE_TORTURE_LOG")
	if dir == "" || len(w.violations) == 0 && runs(0, 0) != 1 {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.log", w.seed)), w.log.Bytes(), 0o644); err != nil {
		panic(err)
	}
}

// pause waits for d of the virtual clock, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (w *world) client(opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers("127.0.0.1:9092"), kgo.Dialer(w.cluster.Net.DialContext))...)
	if err != nil {
		panic(err)
	}
	return cl
}

// feed produces the input. Keys are random. Timestamps advance by about a second per
// record, and jump back and forth by more than a window. One transaction can therefore
// move stream time so far that windows of its own records close.
func (w *world) feed() {
	rng := rand.New(rand.NewPCG(w.seed, 1))
	cl := w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	start := time.Now()
	numbers := make([]int, crashPartitions)
	for i := 0; i < w.records || w.planned.Load() > 0 && i < mostRecords*w.records; i++ {
		partition := rng.IntN(crashPartitions)
		value := fmt.Sprintf("k%d/%d/%d", rng.IntN(crashKeys), partition, numbers[partition])
		numbers[partition]++
		at := start.Add(time.Duration(i)*time.Second + time.Duration(rng.IntN(20))*time.Second)
		r := &kgo.Record{Topic: inTopic, Partition: int32(partition), Value: []byte(value), Timestamp: at}
		w.inputs = append(w.inputs, r)
		if err := cl.ProduceSync(w.ctx, r).FirstErr(); err != nil {
			panic(err)
		}
		if w.migrate && i == w.records/3 {
			w.deploy()
		}
		if i%8 == 7 {
			pause(w.ctx, 8*w.every)
			w.awaitProgress(i)
		}
	}
}

// deploy replaces the first version of the program in all processes.
func (w *world) deploy() {
	w.note("the version that migrates is deployed, rolling %v", w.rolling())
	w.mu.Lock()
	w.migrated = true
	w.mu.Unlock()
	for _, p := range w.all {
		p.stopOld()
		if w.rolling() {
			pause(w.ctx, 200*time.Millisecond)
		}
	}
}

// enter returns the version that a new life runs, and counts the lives of the first one.
// Unless the deployment is rolling, the new version waits until they have ended.
func (w *world) enter() (migrated bool) {
	for {
		w.mu.Lock()
		migrated = w.migrated
		wait := migrated && w.old > 0 && !w.rolling()
		if !migrated {
			w.old++
		}
		w.mu.Unlock()
		if !wait {
			return migrated
		}
		pause(context.Background(), 10*time.Millisecond)
	}
}

// leave is called after a life of the first version.
func (w *world) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.old--
}

// outdated reports whether an error is that of a process which still runs the first
// version, and was given a task whose rows have the new format.
func (w *world) outdated(err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.migrated && w.rolling() && strings.Contains(err.Error(), "has rows of format 1 (float64), and the newest format of this topology is 0 (int64)")
}

// awaitProgress waits a while if the application is far behind, so that some input is
// left when it recovers.
func (w *world) awaitProgress(sent int) {
	const far, wait = 100, 2 * time.Second
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); pause(w.ctx, 20*time.Millisecond) {
		committed := 0
		if group := w.cluster.GroupInfo(crashApp); group != nil {
			for _, at := range group.Commits[inTopic] {
				committed += int(at.Offset)
			}
		}
		if sent-committed < far {
			return
		}
	}
}

// trace writes the requests that decide about transactions into the log.
func (w *world) trace() {
	for _, key := range []kmsg.Key{kmsg.InitProducerID, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		w.cluster.ControlKey(key.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			switch r := r.(type) {
			case *kmsg.InitProducerIDRequest:
				if r.TransactionalID != nil {
					w.note("InitProducerID %s %d/%d", *r.TransactionalID, r.ProducerID, r.ProducerEpoch)
				}
			case *kmsg.TxnOffsetCommitRequest:
				var offsets []string
				for _, t := range r.Topics {
					for _, p := range t.Partitions {
						offsets = append(offsets, fmt.Sprintf("%s/%d=%d", t.Topic, p.Partition, p.Offset))
					}
				}
				w.note("TxnOffsetCommit %s %d/%d %s/%d %v", r.TransactionalID, r.ProducerID, r.ProducerEpoch, r.MemberID, r.Generation, offsets)
			case *kmsg.EndTxnRequest:
				w.note("EndTxn %s %d/%d commit=%v", r.TransactionalID, r.ProducerID, r.ProducerEpoch, r.Commit)
			}
			return nil, nil, false
		})
	}
}

// awaitTopics waits until a process has made the internal topics.
func (w *world) awaitTopics() {
	for w.cluster.TopicInfo(repartition) == nil || w.cluster.TopicInfo(combined) == nil || w.cluster.TopicInfo(worthsChangelog) == nil {
		pause(w.ctx, 10*time.Millisecond)
	}
}

// awaitCompletion waits until everything is processed and committed, and no transaction
// is open.
func (w *world) awaitCompletion() {
	deadline := time.Now().Add(crashPatience)
	for {
		missing := w.missing()
		if len(missing) == 0 {
			w.complete = true
			return
		}
		if time.Now().After(deadline) {
			for _, m := range missing {
				w.violation("not complete: %s", m)
			}
			stacks := make([]byte, 8<<20)
			w.note("%s", stacks[:runtime.Stack(stacks, true)])
			return
		}
		pause(w.ctx, 50*time.Millisecond)
	}
}

// missing returns what is left to do.
func (w *world) missing() (missing []string) {
	group := w.cluster.GroupInfo(crashApp)
	if group == nil {
		return []string{"there is no group"}
	}
	for _, topic := range w.topics() {
		for _, p := range w.cluster.PartitionInfos(topic) {
			if p.LastStableOffset != p.HighWatermark {
				missing = append(missing, fmt.Sprintf("%s/%d has an open transaction: last stable offset %d, high watermark %d", topic, p.Partition, p.LastStableOffset, p.HighWatermark))
			}
		}
	}
	for topic := range w.reader.next {
		for _, p := range w.cluster.PartitionInfos(topic) {
			if next, _ := w.reader.at(topic, p.Partition); next != p.HighWatermark {
				missing = append(missing, fmt.Sprintf("%s/%d: a reader is at %d, the high watermark at %d", topic, p.Partition, next, p.HighWatermark))
			}
		}
	}
	for _, topic := range []string{inTopic, repartition, combined} {
		for _, p := range w.cluster.PartitionInfos(topic) {
			var committed int64
			if at, ok := group.Commits[topic][p.Partition]; ok {
				committed = at.Offset
			}
			last := p.HighWatermark - 1
			// Markers and aborted records come after the last record.
			if topic != inTopic {
				_, last = w.reader.at(topic, p.Partition)
			}
			if committed <= last || committed > p.HighWatermark {
				missing = append(missing, fmt.Sprintf("%s/%d: committed %d, the last record is at %d, the high watermark at %d", topic, p.Partition, committed, last, p.HighWatermark))
			}
		}
	}
	return append(missing, w.unconverted()...)
}

// unconverted returns the keys of worths whose last record in the changelog has the old
// format. The sweep converts them.
func (w *world) unconverted() (missing []string) {
	if !w.migrate {
		return nil
	}
	for key, r := range w.reader.lastOf(worthsChangelog) {
		if formatOf(r) == 0 {
			missing = append(missing, fmt.Sprintf("the value of key %s in worths has the old format", key))
		}
	}
	return missing
}

// formatOf returns the number of the format of a changelog record.
func formatOf(r *kgo.Record) byte {
	for _, h := range r.Headers {
		if h.Key == store.FormatHeader {
			return h.Value[0]
		}
	}
	return 0
}

func (w *world) topics() []string {
	topics := append([]string{inTopic, repartition, combined}, outTopics...)
	for _, store := range []string{
		"totals", "counts", "folds", "merged", "windows", "latest", "worths", "rates", "pairs-left", "pairs-right", "pairs-unmatched",
	} {
		topics = append(topics, crashApp+"-"+store+"-changelog")
	}
	return topics
}

// reader is an independent consumer of the committed records in the topics of the model.
type reader struct {
	w  *world
	cl *kgo.Client

	mu      sync.Mutex
	records map[string][]*kgo.Record // without control records
	next    map[string][]int64       // positions
	last    map[string][]int64       // offsets of the last records, -1 before
}

func newReader(w *world) *reader {
	r := &reader{w: w, records: map[string][]*kgo.Record{}, next: map[string][]int64{}, last: map[string][]int64{}}
	from := map[string]map[int32]kgo.Offset{}
	for _, topic := range append([]string{repartition, combined, worthsChangelog}, outTopics...) {
		from[topic] = map[int32]kgo.Offset{}
		for p := range int32(crashPartitions) {
			from[topic][p] = kgo.NewOffset().At(0)
			r.next[topic] = append(r.next[topic], 0)
			r.last[topic] = append(r.last[topic], -1)
		}
	}
	r.cl = w.client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.ConsumePartitions(from))
	return r
}

func (r *reader) run() {
	for {
		fetches := r.cl.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		for _, e := range fetches.Errors() {
			r.w.violation("%s/%d cannot be read: %v", e.Topic, e.Partition, e.Err)
		}
		fetches.EachRecord(r.take)
	}
}

func (r *reader) take(record *kgo.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	topic, partition := record.Topic, record.Partition
	r.next[topic][partition] = record.Offset + 1
	if !record.Attrs.IsControl() {
		r.last[topic][partition] = record.Offset
		r.records[topic] = append(r.records[topic], record)
	}
}

// lastOf returns the last record of each key of a topic.
func (r *reader) lastOf(topic string) map[string]*kgo.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := map[string]*kgo.Record{}
	for _, record := range r.records[topic] {
		last[string(record.Key)] = record
	}
	return last
}

// at returns the position in a partition, and the offset of its last record.
func (r *reader) at(topic string, partition int32) (next, last int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next[topic][partition], r.last[topic][partition]
}

func (w *world) violation(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violations = append(w.violations, fmt.Sprintf(format, args...))
	fmt.Fprintf(&w.log, "%s VIOLATION %s\n", time.Now().Format("05.000"), w.violations[len(w.violations)-1])
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(&w.log, "%s %s\n", time.Now().Format("05.000"), fmt.Sprintf(format, args...))
}

// logger writes what a process logs into the world's log.
func (w *world) logger(process string) *slog.Logger {
	return slog.New(slog.NewTextHandler(lockedWriter{w}, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.String("t", a.Value.Time().Format("05.000"))
		}
		return a
	}})).With("p", process)
}

type lockedWriter struct{ w *world }

func (l lockedWriter) Write(b []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.log.Write(b)
}

// verify compares the committed records with the results of a naive program on the same
// input.
func (w *world) verify() {
	w.verifyRepartition()
	if w.guarantee == AtLeastOnce {
		return
	}
	want := w.model()
	w.verifyFormat(want[worthsTopic])
	for _, topic := range outTopics {
		got := w.byKey(topic)
		for _, key := range slices.Sorted(maps.Keys(want[topic])) {
			w.compare(topic, key, got[key], want[topic][key])
			delete(got, key)
		}
		for key, values := range got {
			w.violation("%s: key %s should not be there: %v", topic, key, values)
		}
	}
}

// verifyRepartition checks that every input record went through the topic exactly once,
// in order per partition and key.
func (w *world) verifyRepartition() {
	seen := map[string]int{}
	last := map[string]int{}
	if os.Getenv("MILLRACE_TORTURE_LOG") != "" {
		for _, r := range w.outputs[repartition] {
			w.note("%s/%d at %d: %s from producer %d/%d", r.Topic, r.Partition, r.Offset, r.Value, r.ProducerID, r.ProducerEpoch)
		}
	}
	for _, r := range w.outputs[repartition] {
		value := string(r.Value)
		seen[value]++
		var key, partition, number int
		if _, err := fmt.Sscanf(value, "k%d/%d/%d", &key, &partition, &number); err != nil {
			w.violation("%s: %q", repartition, value)
			continue
		}
		stream := fmt.Sprintf("%d/%d", key, partition)
		if before, ok := last[stream]; ok && number <= before && w.guarantee == ExactlyOnce {
			w.violation("%s: %s came after number %d, at %d/%d from producer %d/%d", repartition, value, before, r.Partition, r.Offset, r.ProducerID, r.ProducerEpoch)
		}
		last[stream] = number
	}
	for _, r := range w.inputs {
		if n := seen[string(r.Value)]; n == 0 || n > 1 && w.guarantee == ExactlyOnce {
			w.violation("%s: %s came %d times", repartition, r.Value, n)
		}
	}
}

// verifyFormat checks that the last record of each key in the changelog of worths has the
// last value of the key, in the new format.
func (w *world) verifyFormat(want map[string]*expectation) {
	if !w.migrate {
		return
	}
	rows := map[string]string{}
	for key, r := range w.reader.lastOf(worthsChangelog) {
		n, err := serde.Float64.Decode(r.Value)
		rows[key] = fmt.Sprintf("%s in format %d, error %v", halfText(n), formatOf(r), err)
	}
	for key, e := range want {
		if last := e.values[len(e.values)-1] + " in format 1, error <nil>"; rows[key] != last {
			w.violation("%s: key %s is %s, want %s", worthsChangelog, key, rows[key], last)
		}
	}
}

// expectation is what a key's outputs should be.
type expectation struct {
	values []string
	merged bool // the last value of each row is required; others may be missing
}

// model computes the outputs of the records of the repartition topic, in their order.
func (w *world) model() map[string]map[string]*expectation {
	want := map[string]map[string]*expectation{}
	for _, topic := range outTopics {
		want[topic] = map[string]*expectation{}
	}
	add := func(topic, key, value string, merged bool) {
		e := want[topic][key]
		if e == nil {
			e = &expectation{merged: merged}
			want[topic][key] = e
		}
		e.values = append(e.values, value)
	}
	w.addTotals(add)
	counts, folds, windows := map[string]int64{}, map[string]*fold{}, map[string]int64{}
	streamTimes, due, records := map[int32]int64{}, map[int32]int64{}, map[int32]int64{}
	joins := map[int32]*jointest.Join{}
	for _, r := range w.outputs[repartition] {
		key, at := string(r.Key), r.Timestamp.UnixMilli()
		counts[key]++
		add(countsTopic, key, int64Text(counts[key]), false)
		add(mergedTopic, key, int64Text(counts[key]), true)
		if folds[key] == nil {
			folds[key] = &fold{}
		}
		folds[key].add(string(r.Value))
		add(foldsTopic, key, folds[key].String(), false)
		add(worthsTopic, key, halfText(half(counts[key])), false)

		streamTime := max(streamTimes[r.Partition], at)
		streamTimes[r.Partition] = streamTime
		start := at - at%windowSize.Milliseconds()
		if start+windowSize.Milliseconds()+windowGrace.Milliseconds() > streamTime {
			row := key + "@" + int64Text(start)
			windows[row]++
			value := fmt.Sprintf("%d=%d", start, windows[row])
			add(windowsTopic, key, value, false)
			add(latestTopic, key, value, true)
			add(ratesTopic, key, fmt.Sprintf("%d=%s", start, halfText(half(windows[row]))), true)
		}

		join := joins[r.Partition]
		if join == nil {
			within := pairWithin.Milliseconds()
			join = &jointest.Join{Kind: jointest.Outer, Before: within, After: within, Grace: pairGrace.Milliseconds()}
			joins[r.Partition] = join
		}
		join.Add(jointest.Record{Right: onTheRight(string(r.Value)), Key: r.Key, Value: r.Value, At: at})
		for _, out := range join.Out {
			add(pairsTopic, string(out.Key), string(out.Value), false)
		}

		records[r.Partition]++
		if streamTime >= due[r.Partition] {
			due[r.Partition] = streamTime - streamTime%spanEvery.Milliseconds() + spanEvery.Milliseconds()
			add(spansTopic, strconv.Itoa(int(r.Partition)), int64Text(records[r.Partition]), false)
		}
	}
	return want
}

// addTotals adds the counts whose records are combined by tasks. With at-least-once,
// records are not combined, and each topic may have duplicates of its own.
func (w *world) addTotals(add func(topic, key, value string, merged bool)) {
	topic, counts := combined, map[string]int64{}
	if w.guarantee == ExactlyOnce {
		topic = repartition
	}
	for _, r := range w.outputs[topic] {
		key := string(r.Key)
		counts[key]++
		add(totalsTopic, key, int64Text(counts[key]), true)
	}
}

func (w *world) byKey(topic string) map[string][]string {
	got := map[string][]string{}
	for _, r := range w.outputs[topic] {
		if p := serde.Partition(r.Key, crashPartitions); p != r.Partition {
			w.violation("%s: key %s lies in partition %d, not in %d", topic, r.Key, r.Partition, p)
		}
		got[string(r.Key)] = append(got[string(r.Key)], string(r.Value))
	}
	return got
}

func (w *world) compare(topic, key string, got []string, want *expectation) {
	if want.merged {
		w.compareMerged(topic, key, got, want.values)
		return
	}
	for i := range max(len(got), len(want.values)) {
		switch {
		case i >= len(got):
			w.violation("%s: key %s: %d values, want %d; the next is %s", topic, key, len(got), len(want.values), want.values[i])
			return
		case i >= len(want.values):
			w.violation("%s: key %s: %d values, want %d; the next is %s", topic, key, len(got), len(want.values), got[i])
			return
		case got[i] != want.values[i]:
			w.violation("%s: key %s: value %d of %d is %s, want %s", topic, key, i, len(got), got[i], want.values[i])
			return
		}
	}
}

// compareMerged checks that each row's values are a part of its updates, in their order,
// and end with the last.
func (w *world) compareMerged(topic, key string, got, want []string) {
	for row, updates := range byRow(want) {
		values := byRow(got)[row]
		if len(values) == 0 || values[len(values)-1] != updates[len(updates)-1] {
			w.violation("%s: key %s: row %q ends with %v, want %s", topic, key, row, values, updates[len(updates)-1])
			continue
		}
		next := 0
		for _, v := range values {
			at := slices.Index(updates[next:], v)
			if at < 0 {
				w.violation("%s: key %s: row %q has %v, which is not in the order of its updates", topic, key, row, values)
				break
			}
			next += at + 1
		}
	}
	for row, values := range byRow(got) {
		if _, ok := byRow(want)[row]; !ok {
			w.violation("%s: key %s: row %q should not be there: %v", topic, key, row, values)
		}
	}
}

// byRow divides values "row=value" by row; values without a row are one.
func byRow(values []string) map[string][]string {
	rows := map[string][]string{}
	for _, v := range values {
		row := ""
		for i := range v {
			if v[i] == '=' {
				row = v[:i]
			}
		}
		rows[row] = append(rows[row], v)
	}
	return rows
}
