package operator

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Process runs a processor. Make returns a new one for each task. The serdes are those of
// what the processor forwards, and may be nil.
type Process[K, V, K2, V2 any] struct {
	Make   func() processor.Processor[K, V, K2, V2]
	Keys   serde.Serde[K2]
	Values serde.Serde[V2]
}

// New makes the node's instance for one task, and calls the processor's Init.
func (c Process[K, V, K2, V2]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	receivers, err := receiversOf[K2, V2](children)
	if err != nil {
		return nil, err
	}
	p := &process[K, V, K2, V2]{processor: c.Make()}
	p.host = host[K2, V2]{
		base: base{t, n}, receivers: receivers, keys: absenceOf(c.Keys), values: absenceOf(c.Values),
		at: noTime, foreign: t.Foreign(), logger: t.Logger().With("node", n.Name),
	}
	p.context = processor.NewContext(&p.host)
	return p, p.init()
}

// process is the instance of a Process node, and the host of the processor.
type process[K, V, K2, V2 any] struct {
	host[K2, V2]
	processor processor.Processor[K, V, K2, V2]
}

func (p *process[K, V, K2, V2]) init() error {
	if f, ok := p.processor.(processor.Flusher[K2, V2]); ok {
		p.base.task.OnFlush(p.base.node, func() error {
			return p.call(timeBetweenRecords(p.base.task), func() error { return f.Flush(p.context) })
		})
	}
	if c, ok := p.processor.(processor.Closer); ok {
		p.base.task.OnClose(p.base.node, c.Close)
	}
	if err := p.call(timeBetweenRecords(p.base.task), func() error { return p.processor.Init(p.context) }); err != nil {
		return fmt.Errorf("method Init: %w", err)
	}
	return nil
}

// Patient reports whether the processor is a [processor.Patient] that says so.
func (p *process[K, V, K2, V2]) Patient() bool {
	patient, ok := p.processor.(processor.Patient)
	return ok && patient.Patient()
}

func (p *process[K, V, K2, V2]) Receive(r *graph.Record[K, V]) error {
	p.forwarded, p.at = false, r.Timestamp
	err := p.handle(r)
	if p.at = noTime; p.failure != nil {
		return p.failure
	}
	if err == nil && p.misuse == nil {
		return nil
	}
	return p.handleFailed(r, err)
}

func (p *process[K, V, K2, V2]) handle(r *graph.Record[K, V]) (err error) {
	p.out.Earlier = r.Earlier
	if len(p.base.node.Stores) > 0 {
		before := p.base.task.SetWriteTime(r.Timestamp)
		defer func() { p.base.task.SetWriteTime(before) }()
	}
	defer graph.Guard(&err)
	return p.processor.Process(p.context, r.Record)
}

// handleFailed passes the error to the policy. A call with effects besides its result
// must not be repeated.
func (p *process[K, V, K2, V2]) handleFailed(r *graph.Record[K, V], err error) error {
	var again func() error
	if !p.forwarded && len(p.base.node.Stores) == 0 {
		again = func() error {
			err := p.call(r.Timestamp, func() error { return p.handle(r) })
			if p.forwarded {
				return graph.Effects(err)
			}
			return err
		}
	}
	ok, failure := p.base.failed(p.mistakes(err), again)
	if !ok {
		return failure
	}
	return p.failure
}
