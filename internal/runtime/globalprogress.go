package runtime

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/follow"
	"github.com/millrace-streams/millrace/internal/global"
)

// This file tracks and reports the progress of global stores.

const (
	// globalAim is how often the ends of the topic are asked for.
	globalAim = 10 * time.Minute
	// globalPatience is the time without records after which the log says so.
	globalPatience = 10 * time.Second
)

func (s *globalStore) isReady() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

func (s *globalStore) database() *engine.DB {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db
}

func (s *globalStore) reader() *engine.Reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows
}

func (s *globalStore) status() GlobalStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := GlobalStatus{Store: s.name(), Topic: s.topic(), Reading: !s.isReady()}
	for _, p := range slices.Sorted(maps.Keys(s.at)) {
		status.Partitions = append(status.Partitions, GlobalPartition{p, s.at[p].next, s.at[p].end})
	}
	return status
}

// aim records the positions of the store, and the offsets that it must reach: the ends of
// the partitions when Kafka was asked.
func (s *globalStore) aim(topic global.Topic, asked time.Time) error {
	s.asked, s.aimed, s.keeps = asked, asked, topic.DeleteRetention
	s.mu.Lock()
	for _, r := range topic.Ranges {
		s.at[r.Partition] = globalPosition{next: s.writer.At(r.Partition), end: r.End, target: r.End}
	}
	s.mu.Unlock()
	for _, r := range topic.Ranges {
		s.report(r.Partition)
	}
	return s.arrive()
}

// aimAgain asks for the ends of the topic from time to time. When the store has reached
// them, it records on the disk that it was up to date.
func (s *globalStore) aimAgain() error {
	now := time.Now()
	if now.Sub(s.aimed) < max(min(globalAim, s.keeps/4), time.Second) {
		return nil
	}
	topic, err := s.lookAt()
	if err != nil {
		return err
	}
	return s.aim(topic, now)
}

// reached records the new positions of the store.
func (s *globalStore) reached(read []follow.Batch) error {
	for _, b := range read {
		s.mu.Lock()
		p := s.at[b.Partition]
		moved := b.Next > p.next
		p.next, p.end = b.Next, max(p.end, b.End, b.Next)
		s.at[b.Partition] = p
		s.mu.Unlock()
		if moved && !s.isReady() {
			s.report(b.Partition)
		}
	}
	return s.arrive()
}

// arrive confirms the store once it has reached the ends that the topic had when Kafka
// was asked. The first time, it opens the store for tasks.
func (s *globalStore) arrive() error {
	if s.asked.IsZero() || !s.hasArrived() {
		return nil
	}
	if err := s.writer.Confirm(s.asked); err != nil {
		return err
	}
	s.asked = time.Time{}
	if !s.isReady() {
		s.log.Info("a global store is up to date", "store", s.name(), "topic", s.topic())
		close(s.ready)
	}
	return nil
}

func (s *globalStore) hasArrived() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.at {
		if p.next < p.target {
			return false
		}
	}
	return true
}

// report reports the progress in a partition.
func (s *globalStore) report(partition int32) {
	if s.isReady() {
		return
	}
	s.mu.Lock()
	p := s.at[partition]
	s.mu.Unlock()
	s.cfg.Events.Restoring(RestoreProgress{
		Task: s.task(partition), Store: s.name(), Changelog: s.topic(), Position: p.next, End: p.target, Done: p.next >= p.target,
	})
}

// explain logs from time to time what the start of the application waits for.
func (s *globalStore) explain(heard bool) {
	if now := time.Now(); heard || s.isReady() {
		s.heard = now
	} else if now.Sub(s.heard) > globalPatience {
		s.heard = now
		s.log.Warn("the start waits for the topic of a global store: its brokers do not answer, or a transaction is open", "status", fmt.Sprintf("%+v", s.status()))
	}
}
