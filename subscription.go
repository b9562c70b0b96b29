package millrace

import "github.com/millrace-streams/millrace/internal/assignment"

// subscription is what the process tells the group's leader when it joins.
func (r *session) subscription() assignment.Subscription {
	s := assignment.Subscription{ProcessID: r.dir.ProcessID(), Capacity: r.cfg.Workers, Lags: r.databases.snapshot()}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, h := range r.tasks {
		if h.running && h.task.DB != nil {
			s.Lags[id] = 0
		}
	}
	return s
}
