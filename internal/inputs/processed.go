package inputs

import (
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/resume"
)

// Processed says of which inputs the application has processed records. A record below
// the committed offset need not have been processed: a task may have started behind it.
type Processed struct {
	Records *Records
	ID      func(topic string) TopicID // the present ID of the topic
	// Shows reports whether the metadata of a committed offset are those of a commit
	// after a record of the partition was processed.
	Shows func(metadata string) bool
	// AtEnd reports whether a task without an offset starts behind the topic's records.
	AtEnd func(topic string) bool
}

// Topics returns the topics of the partitions with processed records, sorted. The start
// records must have been read.
func (p *Processed) Topics(standings map[Partition]Standing) (topics []string) {
	for partition, at := range standings {
		if p.processed(partition, at) {
			topics = append(topics, partition.Topic)
		}
	}
	slices.SortFunc(topics, strings.Compare)
	return slices.Compact(topics)
}

func (p *Processed) processed(of Partition, at Standing) bool {
	start, started := p.Records.Started(of)
	stop, stopped := p.Records.Stopped(of)
	switch {
	case started && resume.TopicID(start.TopicID).Differs(resume.TopicID(p.ID(of.Topic))):
		return false // of an earlier topic with this name
	case p.Shows(at.Metadata):
		return true
	case at.Committed >= 0:
		// A tool has set the offset, or no record was processed. The first start was at
		// the start of the log.
		return started && !p.AtEnd(of.Topic) && at.Committed > at.Start
	case stopped: // the offset was lost
		return stop.Offset > at.Start
	}
	return started && at.End > at.Start
}
