package conformance

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/topology"
)

// script is a processor of a case. The instances of all tasks share it.
type script struct {
	kind    string
	params  op
	process func(*handler, processor.Record[any, any]) error
	stores  []*store // that it uses
	// attached stores; a case may use one that is not attached
	attached []processor.StoreSpec
	routes   map[string]string // names of children, by the names in the case
	value    mapper            // of the kinds that have a function
	flat     flat
	calls    *int // of punctuators
	global   topology.Global[any, any]
}

// kind is a kind of processor.
type kind struct {
	process func(*handler, processor.Record[any, any]) error
	params  string // names of its parameters
}

var kinds = map[string]kind{
	"passthrough":             {(*handler).forward, ""},
	"drop":                    {func(*handler, processor.Record[any, any]) error { return nil }, ""},
	"record-info":             {(*handler).recordInfo, ""},
	"header-add":              {(*handler).headerAdd, "key val"},
	"header-remove":           {(*handler).headerRemove, "key"},
	"ts-add":                  {(*handler).tsAdd, "ms"},
	"throw-on":                {(*handler).throwOn, "val"},
	"forward-then-throw":      {(*handler).forwardThenThrow, "val"},
	"forward-twice":           {(*handler).forwardTwice, ""},
	"map-value":               {(*handler).mapValue, "fn"},
	"value":                   {(*handler).mapValue, "fn"},
	"flat":                    {(*handler).flatMap, "fn"},
	"route":                   {(*handler).route, "routes"},
	"dedupe":                  {(*handler).dedupe, ""},
	"count":                   {(*handler).count, ""},
	"count-emit-on-punctuate": {(*handler).countOnly, "type interval"},
	"scheduler":               {(*handler).forward, "schedules"},
	"schedule-on-record":      {(*handler).scheduleOnRecord, "schedules"},
	"store-cmd":               {(*handler).storeCommand, "store"},
	"global-lookup":           {(*handler).globalLookup, "globalStore"},
}

// newScript reads the processor of an operation.
func newScript(params op, stores []*store, attached []processor.StoreSpec, calls *int) (*script, error) {
	p := &script{kind: params.text("kind"), params: params, stores: stores, attached: attached, calls: calls}
	k, ok := kinds[p.kind]
	if !ok {
		return nil, notYet("processor %q", p.kind)
	}
	if err := params.only("processor "+p.kind, "kind "+k.params); err != nil {
		return nil, err
	}
	p.process = k.process
	var err error
	switch fn := params.text("fn"); p.kind {
	case "map-value", "value":
		p.value, err = valueMapperOf(fn)
	case "flat":
		p.flat, err = flatOf(fn)
	case "store-cmd":
		err = storeCommandExists(params.text("store"))
	case "count-emit-on-punctuate":
		err = scheduleExists(params)
	}
	for _, s := range params.children("schedules") {
		err = errors.Join(err, scheduleExists(s), s.only("a schedule", "type interval label startTime cancelAfter throw info"))
	}
	return p, err
}

func scheduleExists(s op) error {
	if t := s.text("type"); t != "stream" && t != "wall" {
		return notYet("schedule of %q", t)
	}
	return nil
}

// scripted is a script in a task.
type scripted[K any] struct {
	h handler
}

func newScripted[K any](p *script) *scripted[K] { return &scripted[K]{handler{script: p}} }

func (s *scripted[K]) Init(ctx processor.Context[any, any]) error {
	s.h.ctx = ctx
	switch s.h.kind {
	case "scheduler":
		s.h.scheduleAll()
	case "count-emit-on-punctuate":
		s.h.every(s.h.params, s.h.emitCounts)
	}
	return nil
}

func (s *scripted[K]) Process(_ processor.Context[any, any], r processor.Record[K, any]) error {
	return s.h.process(&s.h, recordOf(keyOf(r), r.Value, r.Timestamp, r.Headers))
}

// handler is the state of a script in a task.
type handler struct {
	*script
	ctx    processor.Context[any, any]
	opened map[string]any
}

func (h *handler) forward(r processor.Record[any, any]) error {
	h.ctx.Forward(r)
	return nil
}

// forwardValue forwards the record with another value, which may be null.
func (h *handler) forwardValue(r processor.Record[any, any], v any) error {
	return h.forward(recordOf(r.Key, v, r.Timestamp, r.Headers))
}

func (h *handler) recordInfo(r processor.Record[any, any]) error {
	return h.forwardValue(r, fmt.Sprintf("%s ts=%d v=%s", h.position(), int64(r.Timestamp), javaText(r.Value)))
}

// headerAdd changes the headers of the forwarded record. In Java the headers are one
// object, so siblings see the change.
func (h *handler) headerAdd(r processor.Record[any, any]) error {
	r.Headers = r.Headers.With(h.params.text("key"), []byte(h.params.text("val")))
	return h.forward(r)
}

func (h *handler) headerRemove(r processor.Record[any, any]) error {
	r.Headers = r.Headers.Without(h.params.text("key"))
	return h.forward(r)
}

func (h *handler) tsAdd(r processor.Record[any, any]) error {
	r.Timestamp += processor.Timestamp(h.params.ms("ms"))
	return h.forward(r)
}

func (h *handler) throwOn(r processor.Record[any, any]) error {
	if x := h.params.text("val"); equals(r.Value, x) {
		return errBoom(x)
	}
	return h.forward(r)
}

func (h *handler) forwardThenThrow(r processor.Record[any, any]) error {
	h.ctx.Forward(r)
	if x := h.params.text("val"); equals(r.Value, x) {
		return errBoom(x)
	}
	return nil
}

func (h *handler) forwardTwice(r processor.Record[any, any]) error {
	text := javaText(r.Value)
	h.ctx.Forward(recordOf(r.Key, text+"1", r.Timestamp, r.Headers))
	h.ctx.Forward(recordOf(r.Key, text+"2", r.Timestamp+1, r.Headers.With("second", []byte("2"))))
	return nil
}

func (h *handler) mapValue(r processor.Record[any, any]) error {
	v, err := h.value(r.Key, r.Value)
	if err != nil {
		return err
	}
	return h.forwardValue(r, v)
}

func (h *handler) flatMap(r processor.Record[any, any]) error {
	list, err := h.flat(r.Key, r.Value)
	for _, v := range list {
		h.ctx.Forward(recordOf(r.Key, v, r.Timestamp, r.Headers))
	}
	return err
}

func (h *handler) route(r processor.Record[any, any]) error {
	target := h.params.child("routes").text(javaText(r.Key))
	if target == "" || r.Key == nil {
		return h.forward(r)
	}
	if child, ok := h.routes[target]; ok {
		target = child
	}
	h.ctx.ForwardTo(target, r)
	return nil
}

func (h *handler) dedupe(r processor.Record[any, any]) error {
	if r.Key == nil {
		return nil
	}
	s, err := h.keyValue()
	if err != nil {
		return err
	}
	old, _, err := s.Get(r.Key)
	if err != nil || reflect.DeepEqual(old, r.Value) {
		return err
	}
	if err := s.Put(r.Key, r.Value); err != nil {
		return err
	}
	return h.forward(r)
}

func (h *handler) count(r processor.Record[any, any]) error {
	n, err := h.add(r.Key)
	if err != nil {
		return err
	}
	return h.forwardValue(r, n)
}

func (h *handler) countOnly(r processor.Record[any, any]) error {
	_, err := h.add(r.Key)
	return err
}

// add increments the count of the key.
func (h *handler) add(key any) (any, error) {
	s, err := h.keyValue()
	if err != nil {
		return nil, err
	}
	old, _, err := s.Get(key)
	if err != nil {
		return nil, err
	}
	n, err := increment(old, nil)
	if err != nil {
		return nil, err
	}
	return n, s.Put(key, n)
}

// emitCounts forwards all current counts.
func (h *handler) emitCounts(now time.Time) error {
	s, err := h.keyValue()
	if err != nil {
		return err
	}
	for e, err := range s.All() {
		if err != nil {
			return err
		}
		h.ctx.Forward(recordOf(e.Key, e.Value, processor.TimestampOf(now), nil))
	}
	return nil
}

func (h *handler) scheduleOnRecord(r processor.Record[any, any]) error {
	h.ctx.Forward(r)
	h.scheduleAll()
	return nil
}

func (h *handler) scheduleAll() {
	for _, params := range h.params.children("schedules") {
		h.schedule(params)
	}
}

// schedule makes a schedule that forwards its calls until it cancels itself.
func (h *handler) schedule(params op) {
	var made processor.Schedule
	calls := int64(0)
	made = h.every(params, func(now time.Time) error {
		calls++
		if params.flag("throw") {
			return fmt.Errorf("punctuator boom")
		}
		if params.ms("cancelAfter") == calls {
			made.Cancel()
		}
		label := params.text("label")
		text := fmt.Sprintf("%s#%d@%d", label, calls, now.UnixMilli())
		if params.flag("info") {
			text += " meta=" + h.position()
		}
		h.ctx.Forward(recordOf(label, text, processor.TimestampOf(now), nil))
		return nil
	})
}

// position describes the origin of the record and the times of the clocks. In a
// punctuator there is no topic.
func (h *handler) position() string {
	m := h.ctx.Metadata()
	topic := m.Topic
	if topic == "" {
		topic = "null"
	}
	return fmt.Sprintf("%s/%d/%d st=%d wc=%d", topic, m.Partition, m.Offset, int64(h.ctx.StreamTime()), h.ctx.Now().UnixMilli())
}

// every makes a schedule from type, interval and startTime.
func (h *handler) every(params op, f func(now time.Time) error) processor.Schedule {
	kind := processor.StreamTime
	if params.text("type") == "wall" {
		kind = processor.WallClock
	}
	call := func(_ processor.Context[any, any], now time.Time) error {
		*h.calls++
		return f(now)
	}
	interval := params.duration("interval")
	if start, ok := params.number("startTime"); ok {
		return h.ctx.EveryFrom(time.UnixMilli(start), interval, kind, call)
	}
	return h.ctx.Every(interval, kind, call)
}
