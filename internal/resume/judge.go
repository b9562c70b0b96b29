package resume

// TopicID distinguishes a topic from an earlier one with the same name. The zero value is
// unknown, and equal to every other.
type TopicID [16]byte

// Differs reports whether both IDs are known and not the same.
func (id TopicID) Differs(other TopicID) bool {
	return id != other && id != TopicID{} && other != TopicID{}
}

// Choice is the operator's choice for an input whose offset is unknown but whose records
// have left a trace.
type Choice int

const (
	Refuse Choice = iota
	Earliest
	Latest
)

// Policy holds the operator's choices.
type Policy struct {
	Lost      Choice // the offset is gone
	Recreated Choice // the topic is another one
}

// Input holds the facts about one input partition of a task.
type Input struct {
	ID TopicID // the present ID of the topic

	// Offset is the group's committed offset, or -1. ByTool says that a tool has set it.
	// The library writes metadata with its offsets; a tool does not.
	Offset int64
	ByTool bool
	// Outdated says that the metadata of the offset name another topic.
	Outdated bool

	// Started says that there is a start record. StartID is its topic.
	Started bool
	StartID TopicID

	// LeftBehind says that the input's records have left a trace (see the package
	// documentation). It is not needed for an input with an offset of the same topic.
	LeftBehind bool

	// Unwritten says that the partition never held a record.
	Unwritten bool

	// Stop is the offset of the last stop record. It is -1 if there is none, or if a task
	// has started after the stop. StopID is its topic.
	Stop   int64
	StopID TopicID

	// Disk is the offset in the task's database, or -1. DiskID is its topic.
	Disk   int64
	DiskID TopicID
}

// Begin says where a task starts to read an input.
type Begin int

const (
	// AtCommitted: at the committed offset.
	AtCommitted Begin = iota
	// AtSource: where the source says, because nothing was processed yet or there is no
	// trace.
	AtSource
	// AtStop: at the offset at which the task was last stopped.
	AtStop
	// AtDisk: at the offset in the database.
	AtDisk
	// AtEarliest and AtLatest: where the operator says.
	AtEarliest
	AtLatest
	// Refused: nowhere, until the operator has decided.
	Refused
)

// Loss says what happened to the committed offset.
type Loss int

const (
	// NotLost: the input has its offset, or never had one.
	NotLost Loss = iota
	// Lost: the offset expired or was deleted.
	Lost
	// Recreated: the topic was deleted and created again.
	Recreated
)

// Verdict is the judgement on one input.
type Verdict struct {
	Begin Begin
	Loss  Loss
}

// Open reports whether another process with a complete copy of the task's state on its
// disk would give a better start.
func (v Verdict) Open() bool {
	return v.Loss == Lost && v.Begin != AtSource && v.Begin != AtStop && v.Begin != AtDisk
}

// Suspect reports whether the facts LeftBehind, Unwritten and those of the disk matter
// for the input. They need reads of topics, so they are omitted for all others.
func (in Input) Suspect() bool {
	return in.Started && in.Offset < 0 || in.stale()
}

// stale reports whether the library has committed the offset for a topic that is gone.
// The broker drops such offsets, unless it was down or busy at the time. A task that runs
// may also commit after that.
func (in Input) stale() bool {
	return in.Offset >= 0 && !in.ByTool && in.recreated()
}

// recreated reports whether the topic is another one than that of the last start or of
// the committed offset.
func (in Input) recreated() bool { return in.Outdated || in.Started && in.StartID.Differs(in.ID) }

// Judge returns the verdict on each input of a task. complete says that no changelog of
// the task holds a committed record at or beyond the positions that its database has.
func Judge(inputs []Input, complete bool, policy Policy) []Verdict {
	complete = complete && !behind(inputs)
	verdicts := make([]Verdict, len(inputs))
	for i, in := range inputs {
		verdicts[i] = in.judge(complete, policy)
	}
	return verdicts
}

// behind reports whether the group has committed an input beyond the offset on the disk.
// Another process has then had the task since, although it changed no state.
func behind(inputs []Input) bool {
	for _, in := range inputs {
		if in.Offset >= 0 && !in.ByTool && in.Disk >= 0 && in.Offset > in.Disk && !in.DiskID.Differs(in.ID) && !in.stale() {
			return true
		}
	}
	return false
}

func (in Input) judge(complete bool, policy Policy) Verdict {
	switch {
	case !in.Suspect() && in.Offset >= 0:
		return Verdict{AtCommitted, NotLost}
	case !in.Suspect():
		return Verdict{AtSource, NotLost}
	case in.recreated():
		return in.decide(Recreated, policy.Recreated)
	case in.Unwritten:
		return Verdict{AtSource, Lost}
	case in.LeftBehind && in.Stop >= 0 && !in.StopID.Differs(in.ID):
		return Verdict{AtStop, Lost}
	case in.LeftBehind && complete && in.Disk >= 0 && !in.DiskID.Differs(in.ID):
		return Verdict{AtDisk, Lost}
	}
	return in.decide(Lost, policy.Lost)
}

func (in Input) decide(loss Loss, choice Choice) Verdict {
	switch {
	case !in.LeftBehind:
		return Verdict{AtSource, loss}
	case choice == Earliest:
		return Verdict{AtEarliest, loss}
	case choice == Latest:
		return Verdict{AtLatest, loss}
	}
	return Verdict{Refused, loss}
}
