package inputs

import (
	"cmp"
	"context"
	"slices"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/resume"
)

// Task has the data of a task that the facts about its inputs depend on.
type Task struct {
	Partition int32
	Inputs    []Partition

	// Changelogs are those of its own stores. The task has their partition Partition.
	Changelogs []string
	// Downstream are all partitions of the repartition topics and changelogs that records
	// of the task can reach.
	Downstream []restore.Partition
	// Local says that the task has a store on disk without a changelog.
	Local bool

	// Progress returns the progress of the task's database. It is called only if an
	// offset is missing.
	Progress func() (p engine.Progress, ok bool, err error)
}

// Leads reports whether records of the task can reach a store. If they cannot, lost
// offsets do no harm to any state.
func (t *Task) Leads() bool { return len(t.Changelogs)+len(t.Downstream) > 0 || t.Local }

// Facts gathers facts about the inputs of tasks.
type Facts struct {
	Records  *Records
	Restorer *restore.Restorer
	ID       func(topic string) TopicID // the present ID of the topic
	// Whether a tool has committed it, not the library.
	ByTool func(metadata string) bool
	// Whether the library has committed it for an earlier topic with this name.
	Outdated func(topic, metadata string) bool
}

// Judge judges where a task starts to read its inputs. It also returns the progress of
// the database for inputs that start AtDisk.
func (f *Facts) Judge(ctx context.Context, t *Task, standings map[Partition]Standing, policy resume.Policy) ([]resume.Verdict, engine.Progress, error) {
	ins := make([]resume.Input, len(t.Inputs))
	for i, p := range t.Inputs {
		ins[i] = f.input(p, standings[p], t.Leads())
	}
	if err := f.unrecorded(ctx, t, ins); err != nil {
		return nil, engine.Progress{}, err
	}
	if !slices.ContainsFunc(ins, resume.Input.Suspect) {
		return resume.Judge(ins, false, policy), engine.Progress{}, nil
	}
	progress, complete, err := f.suspect(ctx, t, ins)
	if err != nil {
		return nil, progress, err
	}
	return resume.Judge(ins, complete, policy), progress, nil
}

func (f *Facts) input(p Partition, at Standing, leads bool) resume.Input {
	in := resume.Input{ID: resume.TopicID(f.ID(p.Topic)), Offset: at.Committed, Unwritten: at.End == 0, Stop: -1, Disk: -1}
	in.ByTool = at.Committed >= 0 && f.ByTool(at.Metadata)
	in.Outdated = at.Committed >= 0 && f.Outdated(p.Topic, at.Metadata)
	if !leads {
		return in
	}
	if start, found := f.Records.Started(p); found {
		in.Started, in.StartID = true, resume.TopicID(start.TopicID)
	}
	if stop, found := f.Records.Stopped(p); found {
		in.Stop, in.StopID = stop.Offset, resume.TopicID(stop.TopicID)
	}
	return in
}

// unrecorded finds inputs that were started without a start record, because an old
// version of the library wrote none or the registry was deleted. If a task has no offset
// and no start record of any input, but its own changelogs hold a committed record, the
// task has lost its offsets: the first commit of such a record has committed an offset
// too.
func (f *Facts) unrecorded(ctx context.Context, t *Task, ins []resume.Input) error {
	known := func(in resume.Input) bool { return in.Started || in.Offset >= 0 }
	if len(t.Changelogs) == 0 || slices.ContainsFunc(ins, known) {
		return nil
	}
	held, err := f.Restorer.Holds(ctx, t.ownChangelogs())
	if err != nil || !slices.ContainsFunc(held, holdsRecords) {
		return err
	}
	for i := range ins {
		ins[i].Started = true
	}
	return nil
}

func holdsRecords(h restore.Holding) bool { return h.Records }

func (t *Task) ownChangelogs() []restore.Partition {
	parts := make([]restore.Partition, len(t.Changelogs))
	for i, topic := range t.Changelogs {
		parts[i] = restore.Partition{Topic: topic, Partition: t.Partition, From: -1}
	}
	return parts
}

// suspect adds the facts that need reads of topics.
func (f *Facts) suspect(ctx context.Context, t *Task, ins []resume.Input) (progress engine.Progress, complete bool, err error) {
	progress, onDisk, err := t.Progress()
	if err != nil {
		return progress, false, err
	}
	left, err := f.leftBehind(ctx, t)
	if err != nil {
		return progress, false, err
	}
	if onDisk {
		if complete, err = f.complete(ctx, t, progress); err != nil {
			return progress, false, err
		}
	}
	if !complete {
		elsewhere, found, err := f.elsewhere(ctx, t)
		if err != nil {
			return progress, false, err
		}
		if found {
			progress, complete = elsewhere, true
		}
	}
	for i, p := range t.Inputs {
		ins[i].LeftBehind = left || t.Local && onDisk
		for _, have := range progress.Inputs {
			if have.Topic == p.Topic && have.Partition == p.Partition {
				ins[i].Disk, ins[i].DiskID = have.Offset, resume.TopicID(have.TopicID)
			}
		}
	}
	return progress, complete, nil
}

// elsewhere returns the progress of another process's disk, if that is complete. Of
// several, it returns the one with the largest offsets, because records that change no
// state only move offsets. State without a changelog is on the other disk, and not on
// this one.
func (f *Facts) elsewhere(ctx context.Context, t *Task) (best engine.Progress, found bool, err error) {
	if t.Local || len(t.Inputs) == 0 {
		return best, false, nil
	}
	for _, p := range f.Records.Published(t.Inputs[0]) {
		complete, err := f.complete(ctx, t, p)
		if err != nil {
			return best, false, err
		}
		if complete && (!found || offsets(p) > offsets(best)) {
			best, found = p, true
		}
	}
	return best, found, nil
}

func offsets(p engine.Progress) (sum int64) {
	for _, in := range p.Inputs {
		sum += in.Offset
	}
	return sum
}

// leftBehind reports whether a topic that the task's records reach holds a committed
// record.
func (f *Facts) leftBehind(ctx context.Context, t *Task) (bool, error) {
	held, err := f.Restorer.Holds(ctx, t.reached())
	return slices.ContainsFunc(held, holdsRecords), err
}

// reached returns the partitions that records of the task can reach, each once. Records
// may reach a partition on several ways. In a foreign-key join, they come back to the
// task.
func (t *Task) reached() []restore.Partition {
	all := slices.Concat(t.Downstream, t.ownChangelogs())
	slices.SortFunc(all, func(a, b restore.Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return slices.CompactFunc(all, func(a, b restore.Partition) bool { return a.Topic == b.Topic && a.Partition == b.Partition })
}

// complete reports whether no changelog of the task holds a committed record at or beyond
// the positions that the database has.
func (f *Facts) complete(ctx context.Context, t *Task, progress engine.Progress) (bool, error) {
	parts := t.ownChangelogs()
	for i := range parts {
		for _, have := range progress.Changelogs {
			if have.Topic == parts[i].Topic {
				parts[i].From, parts[i].TopicID = have.Position, restore.TopicID(have.TopicID)
			}
		}
	}
	held, err := f.Restorer.Holds(ctx, parts)
	return !slices.ContainsFunc(held, func(h restore.Holding) bool { return h.Records || h.Foreign }), err
}
