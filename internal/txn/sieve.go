package txn

import (
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// errDisorder ends a transaction in which a record was accepted after a later one of its
// partition.
var errDisorder = errors.New("a record was accepted after a later one of its partition")

// Judge decides about a record that the broker refused although it was sent alone. The
// judge may change the record and send it again, or leave it out. An error ends the
// transaction.
type Judge func(r *kgo.Record, err error) (again bool, failure error)

// sieve finds the records of a group that the broker refuses.
//
// A broker refuses a batch as a whole. kgo then fails all records that it holds for the
// partition, with the bare error code. But it does so in order, and nothing is in the log
// after the refused records, because kgo held the whole group before it knew the answer
// (see hold), and the group was waited for. They can therefore be sent again within the
// same transaction: in halves, until a single record is refused. The order within each
// partition stays that of the group; otherwise sift returns errDisorder. All partitions
// are searched at the same time, one piece of each per try.
type sieve struct {
	// try sends records, waits for the answers, and returns the refusals. Those of one
	// partition are in order.
	try   func([]*kgo.Record) ([]refusal, error)
	judge Judge
	// pause waits before the same records are sent again. tries counts from 1.
	pause func(tries int) error
}

// If a single record is refused with an error that may have another cause, it is sent
// again: doubts times, or fewDoubts times if the broker has accepted other records of the
// partition meanwhile. In the second case trouble of the broker is unlikely, but it may
// have just begun.
const doubts, fewDoubts = 3, 2

// sift returns when each record has been accepted, or left out by the judge. refused are
// the topics that refused a record.
func (s *sieve) sift(group []*kgo.Record) (refused map[string]bool, err error) {
	refusals, err := s.try(group)
	if err != nil || len(refusals) == 0 {
		return nil, err
	}
	refused = make(map[string]bool)
	for _, r := range refusals {
		refused[r.record.Topic] = true
	}
	strands := strandsOf(group, refusals)
	for {
		if err := s.answered(strands, refusals); err != nil {
			return refused, err
		}
		var batch []*kgo.Record
		for _, l := range strands {
			batch = append(batch, l.next()...)
		}
		if len(batch) == 0 {
			return refused, nil
		}
		if refusals, err = s.try(batch); err != nil {
			return refused, err
		}
	}
}

// strand is the undecided part of one partition.
type strand struct {
	sent  []*kgo.Record       // being tried
	todo  []piece             // in order; they come after sent
	tries int                 // of a single record, after a doubtful error
	place map[*kgo.Record]int // of each record of the partition, from 1
	last  int                 // place of the last accepted record
	// took is true if records were accepted after the undecided ones had been refused,
	// and after the last judgement.
	took bool
}

// piece is a run of records of one partition that is sent together.
type piece struct {
	records []*kgo.Record
	// rest marks the second half of refused records. If the piece before it is accepted,
	// this piece becomes spoilt.
	rest bool
	// spoilt marks a piece that was refused together with records that have since been
	// accepted. It is divided without another try.
	spoilt bool
}

// strandsOf returns the strands of the partitions that refused records of a group.
func strandsOf(group []*kgo.Record, refusals []refusal) []*strand {
	var strands []*strand
	byPartition := make(map[topicPartition]*strand)
	for _, r := range refusals {
		at := topicPartition{r.record.Topic, r.record.Partition}
		if byPartition[at] == nil {
			l := &strand{place: make(map[*kgo.Record]int)}
			byPartition[at] = l
			strands = append(strands, l)
		}
	}
	for _, r := range group {
		if l := byPartition[topicPartition{r.Topic, r.Partition}]; l != nil {
			l.sent = append(l.sent, r)
			l.place[r] = len(l.sent)
		}
	}
	return strands
}

// next returns the records to send next.
func (l *strand) next() []*kgo.Record {
	if len(l.todo) == 0 {
		return nil
	}
	for l.todo[0].spoilt && len(l.todo[0].records) > 1 {
		l.divide(l.pop().records)
	}
	l.sent = l.pop().records
	return l.sent
}

func (l *strand) pop() piece {
	p := l.todo[0]
	l.todo = l.todo[1:]
	return p
}

func (l *strand) push(p piece) { l.todo = append([]piece{p}, l.todo...) }

// divide puts the records at the front, as two pieces.
func (l *strand) divide(records []*kgo.Record) {
	n := len(records) / 2
	l.push(piece{records: records[n:], rest: n > 0})
	if n > 0 {
		l.push(piece{records: records[:n]})
	}
}

// answered passes to each strand the result of the records that it sent.
func (s *sieve) answered(strands []*strand, refusals []refusal) error {
	// Not by partition: a record that was refused before it had a partition may have one
	// now.
	byRecord := make(map[*kgo.Record]*strand)
	for _, l := range strands {
		for _, r := range l.sent {
			byRecord[r] = l
		}
	}
	refused := make(map[*strand][]refusal)
	for _, r := range refusals {
		l := byRecord[r.record]
		refused[l] = append(refused[l], r)
	}
	for _, l := range strands {
		if len(l.sent) == 0 {
			continue
		}
		if err := s.answer(l, refused[l]); err != nil {
			return err
		}
	}
	return nil
}

func (s *sieve) answer(l *strand, refused []refusal) error {
	sent := l.sent
	l.sent = nil
	l.sort(refused)
	if err := l.advance(sent, refused); err != nil {
		return err
	}
	if len(refused) == 0 {
		l.accepted()
		return nil
	}
	if len(l.todo) > 0 {
		l.todo[0].rest = false
	}
	left := make([]*kgo.Record, len(refused))
	for i, r := range refused {
		left[i] = r.record
	}
	l.took = l.took || len(left) < len(sent)
	switch err := refused[0].err; {
	case IsAboutTopic(err):
		return s.judgeAll(l, refused)
	case len(sent) > 1:
		l.divide(left)
		return nil
	case isDoubtful(err) && l.tries < l.doubts():
		l.tries++
		l.push(piece{records: left})
		return s.pause(l.tries)
	}
	return s.judgeAll(l, refused)
}

// sort puts refusals into the order of their records. A record that the client refuses is
// answered before the records in front of it.
func (l *strand) sort(refused []refusal) {
	slices.SortFunc(refused, func(a, b refusal) int { return l.place[a.record] - l.place[b.record] })
}

// advance notes which of the sent records were accepted: all but the refused ones. Both
// are in order.
func (l *strand) advance(sent []*kgo.Record, refused []refusal) error {
	for _, r := range sent {
		if len(refused) > 0 && refused[0].record == r {
			refused = refused[1:]
			continue
		}
		if l.place[r] <= l.last {
			return errDisorder
		}
		l.last = l.place[r]
	}
	return nil
}

func (l *strand) doubts() int {
	if l.took {
		return fewDoubts
	}
	return doubts
}

func (l *strand) accepted() {
	l.tries, l.took = 0, true
	if len(l.todo) > 0 && l.todo[0].rest {
		l.todo[0].rest, l.todo[0].spoilt = false, true
	}
}

// judgeAll passes refused records to the judge. If a record is to be sent again, the ones
// after it wait for it.
func (s *sieve) judgeAll(l *strand, refused []refusal) error {
	l.tries, l.took = 0, false
	for i, r := range refused {
		again, err := s.judge(r.record, r.err)
		if err != nil {
			return err
		}
		if !again {
			continue
		}
		if i+1 < len(refused) {
			var behind []*kgo.Record
			for _, r := range refused[i+1:] {
				behind = append(behind, r.record)
			}
			l.push(piece{records: behind})
		}
		l.push(piece{records: []*kgo.Record{r.record}})
		return nil
	}
	return nil
}
