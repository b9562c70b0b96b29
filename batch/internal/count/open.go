package count

import (
	"reflect"

	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

func (a *Aggregation[K, A]) specs() []processor.StoreSpec {
	keys := serde.Serde[paneKey](paneKeySerde{serde.FormatName(a.Keys)})
	a.spec = state.KeyValue(a.Name(), keys, a.Values)
	specs := []processor.StoreSpec{a.spec}
	for _, w := range a.Windows {
		totals := totalSerde[A]{counted: a.Inverse != nil, value: a.Values}
		w.spec = state.KeyValue(w.Name(), serde.Bytes, serde.Serde[total[A]](totals))
		specs = append(specs, w.spec)
	}
	return specs
}

func (a *Aggregation[K, A]) open(ctx wire.Context, marks *closing.Watermarks) (instance, error) {
	p := &panes[K, A]{Aggregation: a, ctx: ctx, store: state.Open(ctx, a.spec), immutable: immutable[A]()}
	for _, w := range a.Windows {
		o := &windowing[K, A]{Window: w, marks: marks, store: state.Open(ctx, w.spec), entered: -1, left: -1}
		if err := o.load(); err != nil {
			return nil, err
		}
		p.windows = append(p.windows, o)
		p.longest = max(p.longest, w.Size)
	}
	return p, nil
}

// immutable reports whether values of a type cannot be changed in place.
func immutable[A any]() bool {
	k := reflect.TypeFor[A]().Kind()
	return k == reflect.String || k >= reflect.Bool && k <= reflect.Complex128
}
