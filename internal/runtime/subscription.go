package runtime

import "github.com/millrace-streams/millrace/internal/assignment"

// subscription is what the process tells the group's leader when it joins.
func (s *Run) subscription() assignment.Subscription {
	sub := assignment.Subscription{ProcessID: s.dir.ProcessID(), Capacity: s.cfg.Workers, Lags: s.databases.snapshot()}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, h := range s.tasks {
		if h.running && h.task.DB != nil {
			sub.Lags[id] = 0
		}
	}
	return sub
}
