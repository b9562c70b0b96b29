package conformance

import (
	"time"

	"github.com/millrace-streams/millrace/processor"
)

// fixedScript is a script in a task, as a processor that cannot change the key.
type fixedScript[K any] struct {
	scripted scripted[any]
	current  processor.FixedKeyRecord[K, any]
}

func newFixedScript[K any](p *script) *fixedScript[K] {
	return &fixedScript[K]{scripted: scripted[any]{handler{script: p}}}
}

func (s *fixedScript[K]) Init(ctx processor.FixedKeyContext[K, any]) error {
	return s.scripted.Init(processor.NewContext[any, any](fixedHost[K]{ctx: ctx, of: &s.current}))
}

func (s *fixedScript[K]) Process(_ processor.FixedKeyContext[K, any], r processor.FixedKeyRecord[K, any]) error {
	s.current = r
	var key any
	if !r.NoKey() {
		key = r.Key()
	}
	return s.scripted.h.process(&s.scripted.h, recordOf(key, r.Value(), r.Timestamp(), r.Headers()))
}

type anyHost = processor.Host[any, any]

// fixedHost is the host of the script. Its records get the key of the current record.
type fixedHost[K any] struct {
	anyHost // of the methods that no script uses
	ctx     processor.FixedKeyContext[K, any]
	of      *processor.FixedKeyRecord[K, any]
}

func (h fixedHost[K]) record(r processor.Record[any, any]) processor.FixedKeyRecord[K, any] {
	out := processor.WithFixedKeyValue(*h.of, r.Value).WithTimestamp(r.Timestamp).WithHeaders(r.Headers)
	if r.NoValue {
		return out.WithoutValue()
	}
	return out
}

func (h fixedHost[K]) Forward(r processor.Record[any, any]) { h.ctx.Forward(h.record(r)) }

func (h fixedHost[K]) ForwardTo(child string, r processor.Record[any, any]) {
	h.ctx.ForwardTo(child, h.record(r))
}

func (h fixedHost[K]) EveryFrom(start time.Time, interval time.Duration, kind processor.TimeKind, p processor.Punctuator[any, any]) processor.Schedule {
	call := func(_ processor.FixedKeyContext[K, any], now time.Time) error {
		return p(processor.NewContext[any, any](h), now)
	}
	if start.IsZero() {
		return h.ctx.Every(interval, kind, call)
	}
	return h.ctx.EveryFrom(start, interval, kind, call)
}

func (h fixedHost[K]) Store(name string) (processor.Store, error) { return h.ctx.Stores().Store(name) }
func (h fixedHost[K]) Metadata() processor.Metadata               { return h.ctx.Metadata() }
func (h fixedHost[K]) StreamTime() processor.Timestamp            { return h.ctx.StreamTime() }
func (h fixedHost[K]) Now() time.Time                             { return h.ctx.Now() }
func (h fixedHost[K]) Drop(reason string)                         { h.ctx.Drop(reason) }
func (h fixedHost[K]) Commit()                                    { h.ctx.Commit() }
