package runtime

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/txn"
	"github.com/millrace-streams/millrace/internal/worker"
	"github.com/millrace-streams/millrace/processor"
)

// letters sends the dead letters of a global store, outside of any transaction. It
// implements global.Outbox. Only the goroutine of the store uses it.
type letters struct {
	*life
	catalogue *catalogue
	client    *kgo.Client
	unsent    []task.Refusal // only Out and From are set
	looked    time.Time      // when limits were asked for last
}

func newLetters(l *life, clients *clients, catalogue *catalogue) (*letters, error) {
	client, err := kgo.NewClient(clients.options(kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.RequiredAcks(kgo.AllISRAcks()))...)
	return &letters{life: l, catalogue: catalogue, client: client}, err
}

func (l *letters) close() { l.client.Close() }

// Send implements task.Outbox.
func (l *letters) Send(out graph.Output, from processor.Metadata) error {
	l.unsent = append(l.unsent, task.Refusal{Out: out, From: from})
	return nil
}

// Flush implements global.Outbox. It waits for Kafka until the run begins to close.
func (l *letters) Flush(refused func(task.Refusal) (*graph.Output, error)) error {
	unsent := l.unsent
	l.unsent = nil
	for len(unsent) > 0 {
		letter := unsent[0]
		record := worker.RecordOf(&letter.Out)
		err := l.client.ProduceSync(l.soft, &record).FirstErr()
		switch {
		case err == nil:
			unsent = unsent[1:]
		case !txn.Refuses(err):
			return err
		default:
			letter.Err, letter.Gone = err, txn.IsAboutTopic(err)
			again, failure := refused(letter)
			if failure != nil {
				return failure
			}
			letter.Tries++
			if again == nil {
				unsent = unsent[1:]
				continue
			}
			letter.Out = *again
			unsent[0] = letter
		}
	}
	return nil
}

// Cautious implements task.Outbox. A letter is sent alone anyway.
func (l *letters) Cautious(string) bool { return false }

// Partitions implements task.Outbox.
func (l *letters) Partitions(topic string) (int32, error) {
	return l.catalogue.Partitions(l.soft, topic)
}

// lettersLookEvery bounds how often Kafka is asked for the limits of the dead letter
// topic.
const lettersLookEvery = 10 * time.Second

// Limits implements task.Outbox.
func (l *letters) Limits(topic string, fresh bool) *task.Limits {
	if fresh && time.Since(l.looked) > lettersLookEvery {
		l.looked = time.Now()
		if err := l.catalogue.Refresh(l.soft, topic); err != nil {
			l.log.Warn("looking up what a topic takes", "topic", topic, "error", err)
		}
	}
	limits := *l.catalogue.Limits(topic)
	if limits.MaxBytes == 0 {
		limits.MaxBytes = txn.UsualBatch
	}
	return &limits
}

// Oversized implements task.Outbox. Letters are compared with the limit as they are: the
// task leaves out parts of a letter that is too large.
func (l *letters) Oversized(out graph.Output) int { return l.Limits(out.Topic, false).MaxBytes + 1 }
