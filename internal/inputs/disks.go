package inputs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/registrytopic"
	"github.com/millrace-streams/millrace/internal/topicid"
)

// diskKey names what a process has on disk of the task that reads a partition.
type diskKey struct {
	process string
	input   Partition // the first of the task
}

func (k diskKey) String() string { return registrytopic.Disk.Key(k.process + "/" + k.input.String()) }

func parseDiskKey(key []byte) (k diskKey, ok bool) {
	rest, ok := registrytopic.Disk.Name(key)
	if !ok {
		return k, false
	}
	process, partition, _ := strings.Cut(rest, "/")
	k.process = process
	k.input, ok = parsePartition(partition)
	return k, ok
}

// disk is the JSON of a disk record: an engine.Progress.
type disk struct {
	Version    int             `json:"version"`
	Inputs     []diskInput     `json:"inputs"`
	Changelogs []diskChangelog `json:"changelogs"`
}

type diskInput struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	TopicID   string `json:"topic_id"`
	Offset    int64  `json:"offset"`
	Metadata  string `json:"metadata"`
}

type diskChangelog struct {
	Topic    string `json:"topic"`
	TopicID  string `json:"topic_id"`
	Position int64  `json:"position"`
}

// Publish writes the state of this process's disk, so that another process that is given
// the task can continue there. A task is identified by its first input. Earlier records
// of this process are deleted if their tasks are not among those given.
func (s *Records) Publish(ctx context.Context, cl *kgo.Client, process string, disks map[Partition]engine.Progress) error {
	var records []*kgo.Record
	for input, p := range disks {
		value, err := json.Marshal(diskOf(p))
		if err != nil {
			return err
		}
		records = append(records, &kgo.Record{Topic: s.topic, Key: []byte(diskKey{process, input}.String()), Value: value})
	}
	s.mu.Lock()
	for k := range s.disks {
		if _, again := disks[k.input]; k.process == process && !again {
			records = append(records, &kgo.Record{Topic: s.topic, Key: []byte(k.String())})
		}
	}
	s.mu.Unlock()
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("write the state of the disk to topic %s: %w", s.topic, err)
	}
	return nil
}

// Published returns the disk records of all processes for the task that has the input.
func (s *Records) Published(input Partition) []engine.Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []engine.Progress
	for _, p := range s.disks {
		if slices.ContainsFunc(p.Inputs, func(in engine.InputProgress) bool { return in.Topic == input.Topic && in.Partition == input.Partition }) {
			found = append(found, p)
		}
	}
	return found
}

func (s *Records) applyDisk(k diskKey, value []byte) error {
	if len(value) == 0 {
		delete(s.disks, k)
		return nil
	}
	var d disk
	err := json.Unmarshal(value, &d)
	if err == nil {
		s.disks[k], err = d.progress()
	}
	if err != nil {
		return fmt.Errorf("the record %v is damaged: %w", k, err)
	}
	return nil
}

func diskOf(p engine.Progress) disk {
	d := disk{Version: registrytopic.Version}
	for _, in := range p.Inputs {
		d.Inputs = append(d.Inputs, diskInput{in.Topic, in.Partition, topicid.Format(in.TopicID), in.Offset, in.Metadata})
	}
	for _, log := range p.Changelogs {
		d.Changelogs = append(d.Changelogs, diskChangelog{log.Topic, topicid.Format(log.TopicID), log.Position})
	}
	return d
}

func (d disk) progress() (p engine.Progress, err error) {
	for _, in := range d.Inputs {
		id, err := topicid.Parse(in.TopicID)
		if err != nil {
			return engine.Progress{}, err
		}
		p.Inputs = append(p.Inputs, engine.InputProgress{Topic: in.Topic, Partition: in.Partition, TopicID: id, Offset: in.Offset, Metadata: in.Metadata})
	}
	for _, log := range d.Changelogs {
		id, err := topicid.Parse(log.TopicID)
		if err != nil {
			return engine.Progress{}, err
		}
		p.Changelogs = append(p.Changelogs, engine.ChangelogProgress{Topic: log.Topic, TopicID: id, Position: log.Position})
	}
	return p, nil
}
