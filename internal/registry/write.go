package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/registrytopic"
)

// Changes are the records that a write changes in the registry.
type Changes struct {
	Stores       []Record
	Repartitions []Repartition
	FirstTopics  []FirstTopics
	Forget       []string // keys whose records are deleted
}

// Empty reports whether there is nothing to write.
func (c Changes) Empty() bool {
	return len(c.Stores)+len(c.Repartitions)+len(c.FirstTopics)+len(c.Forget) == 0
}

// Undo returns the changes that restore an earlier view.
func (c Changes) Undo(before View) (undo Changes) {
	for _, s := range c.Stores {
		if was, found := before.Store(s.Store); found {
			undo.Stores = append(undo.Stores, was)
		} else {
			undo.Forget = append(undo.Forget, registrytopic.Store.Key(s.Store))
		}
	}
	for _, p := range c.Repartitions {
		if was, found := before.repartitions[p.Topic]; found {
			undo.Repartitions = append(undo.Repartitions, was)
		} else {
			undo.Forget = append(undo.Forget, registrytopic.Repartition.Key(p.Topic))
		}
	}
	for _, f := range c.FirstTopics {
		if was, found := before.FirstTopics(f.Source); found {
			undo.FirstTopics = append(undo.FirstTopics, was)
		} else {
			undo.Forget = append(undo.Forget, f.key())
		}
	}
	return undo
}

const (
	// transactionTimeout bounds how long readers wait for a writer that has died.
	transactionTimeout = 10 * time.Second
	// writeTimeout bounds one attempt.
	writeTimeout = 30 * time.Second
)

// contention is the pause after another writer has fenced this one.
var contention = backoff.Backoff{First: 20 * time.Millisecond, Last: time.Second}

// Update reads the registry to its end, asks decide for changes, and writes them in one
// transaction. If there are none, it writes nothing. Nobody else writes between the last
// call of decide and the write: if another writer comes in between, decide is called
// again with the new content. An error of decide ends Update.
func (r *Registry) Update(ctx context.Context, decide func(View) (Changes, error)) (View, error) {
	view, err := r.Refresh(ctx)
	if err != nil {
		return view, err
	}
	changes, err := decide(view)
	if err != nil || changes.Empty() {
		return view, err
	}
	for attempt := 1; ; attempt++ {
		err := r.write(ctx, decide)
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			return r.view, refused.error
		case err == nil || !contended(err):
			return r.view, r.explain(err)
		}
		// Writers with equal pauses would fence each other forever.
		wait := contention.Delay(attempt)
		if err := backoff.Sleep(ctx, wait/2+rand.N(wait)); err != nil {
			return r.view, err
		}
	}
}

// refusal is an error of decide.
type refusal struct{ error }

// errUndecided says that the outcome of a transaction is unknown.
var errUndecided = errors.New("the transaction of the registry was not confirmed")

// contended reports whether another writer was faster, or the outcome has to be read.
func contended(err error) bool {
	return errors.Is(err, errUndecided) || errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) ||
		errors.Is(err, kerr.InvalidTxnState) || errors.Is(err, kerr.InvalidProducerIDMapping) || errors.Is(err, kerr.ConcurrentTransactions) ||
		errors.Is(err, kerr.TransactionAbortable)
}

// write is one attempt: fence, read, decide, write.
func (r *Registry) write(ctx context.Context, decide func(View) (Changes, error)) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	cl, err := kgo.NewClient(append(slices.Clone(r.cfg.Opts),
		kgo.TransactionalID(r.topic), kgo.TransactionTimeout(transactionTimeout), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return err
	}
	view, err := r.Refresh(ctx)
	if err != nil {
		return err
	}
	changes, err := decide(view)
	if err != nil {
		return &refusal{err}
	}
	if changes.Empty() {
		return nil
	}
	records, err := r.encode(changes)
	if err != nil {
		return err
	}
	if err := commit(ctx, cl, records); err != nil {
		return err
	}
	return r.confirm(ctx, changes)
}

func commit(ctx context.Context, cl *kgo.Client, records []*kgo.Record) error {
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		// The initialisation of the next writer aborts the transaction too.
		return errors.Join(err, cl.EndTransaction(ctx, kgo.TryAbort))
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("%w: %w", errUndecided, err)
	}
	return nil
}

// confirm reads back what was written.
func (r *Registry) confirm(ctx context.Context, changes Changes) error {
	view, err := r.Refresh(ctx)
	if err != nil {
		return err
	}
	for _, want := range changes.Stores {
		if got, ok := view.Store(want.Store); !ok || !reflect.DeepEqual(got.wire(), want.wire()) {
			return fmt.Errorf("%w: store %s", errUndecided, want.Store)
		}
	}
	for _, want := range changes.FirstTopics {
		if got, ok := view.FirstTopics(want.Source); !ok || !reflect.DeepEqual(got, want) {
			return fmt.Errorf("%w: source %s", errUndecided, want.Source)
		}
	}
	return nil
}

func (r *Registry) encode(c Changes) ([]*kgo.Record, error) {
	var records []*kgo.Record
	add := func(key string, value []byte, err error) error {
		records = append(records, &kgo.Record{Topic: r.topic, Key: []byte(key), Value: value})
		return err
	}
	for _, s := range c.Stores {
		value, err := s.encode()
		if err := add(registrytopic.Store.Key(s.Store), value, err); err != nil {
			return nil, fmt.Errorf("store %s: %w", s.Store, err)
		}
	}
	for _, p := range c.Repartitions {
		value, err := p.encode()
		if err := add(registrytopic.Repartition.Key(p.Topic), value, err); err != nil {
			return nil, fmt.Errorf("topic %s: %w", p.Topic, err)
		}
	}
	for _, f := range c.FirstTopics {
		value, err := f.encode()
		if err := add(f.key(), value, err); err != nil {
			return nil, fmt.Errorf("source %s: %w", f.Source, err)
		}
	}
	for _, key := range c.Forget {
		records = append(records, &kgo.Record{Topic: r.topic, Key: []byte(key)})
	}
	return records, nil
}

// explain adds advice to errors that users meet.
func (r *Registry) explain(err error) error {
	if err == nil {
		return nil
	}
	advice := ""
	switch {
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		advice = fmt.Sprintf(": allow the application to Write with the transactional ID %s, even with AtLeastOnce", r.topic)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		advice = ": allow the application to Read and Write the topic"
	}
	return fmt.Errorf("write the descriptions of the stores to topic %s: %w%s", r.topic, err, advice)
}
