package worker

import "github.com/millrace-streams/millrace/internal/seam"

// applyFirst implements the mistake [seam.ApplyFirst]: it applies the tasks' changes
// before the transaction has ended. It returns the tasks whose changes are still to be
// applied.
func (w *Worker) applyFirst(tasks []*Task) ([]*Task, error) {
	if w.cfg.Mistake != seam.ApplyFirst {
		return tasks, nil
	}
	return nil, w.finish(tasks, nil)
}

// keepTimes implements the mistake [seam.KeepTimes]: it keeps the operator times of a
// transaction that is aborted.
func (w *Worker) keepTimes(t *Task) {
	if w.cfg.Mistake != seam.KeepTimes {
		return
	}
	for _, o := range t.begun {
		for i := range t.Inputs {
			if in := &t.Inputs[i]; in.Topic == o.Topic && in.Partition == o.Partition {
				in.Metadata = o.Metadata
			}
		}
	}
}
