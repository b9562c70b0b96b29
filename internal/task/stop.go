package task

// StopBefore makes Process stop when the record becomes the head of its queue. A replay
// uses it to commit the records before one that fails. Each input partition may have one
// such record.
func (t *Task) StopBefore(topic string, partition int32, offset int64) {
	if q := t.byName[Partition{topic, partition}]; q != nil {
		q.stops, q.stop, t.stops = true, offset, true
	}
}

// Stopped reports whether a record of StopBefore has been reached.
func (t *Task) Stopped() bool {
	if !t.stops {
		return false
	}
	for _, q := range t.queues {
		if q.stopped() {
			return true
		}
	}
	return false
}

func (q *queue) stopped() bool {
	return q.stops && (q.position >= q.stop || !q.empty() && q.head().Offset >= q.stop)
}
