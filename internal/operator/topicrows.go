package operator

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// TopicRows makes rows from the records of a table's topic, to restore the store of the
// table. A record makes the row that it made when the Source and the Keep node processed
// it. If they dropped it, it makes none.
//
// The rules of the Source must need nothing but the record: FailOnInvalid or SkipInvalid.
type TopicRows[K, V any] struct {
	Source Source[K, V]
	Node   string // of the Source, for errors
	Table  string // the Keep node, for errors
}

// Row is [graph.FromTopic.Row].
func (c TopicRows[K, V]) Row(in *graph.Input) (key, value []byte, ok bool, err error) {
	if in.Timestamp < 0 {
		if c.Source.Timestamps == SkipInvalid {
			return nil, nil, false, nil
		}
		return nil, nil, false, rowError(processor.Decode, c.Node, in, invalidTimestampError(in.Timestamp))
	}
	var r processor.Record[K, V]
	d := c.Source.decoder()
	if err := d.decode(in, &r); err != nil {
		return nil, nil, false, rowError(processor.Decode, c.Node, in, err)
	}
	if r.NoKey {
		return nil, nil, false, nil
	}
	keys := keyEncoder[K]{serde: c.Source.Keys}
	if key, err = keys.encode(r.Key); err != nil {
		return nil, nil, false, rowError(processor.Process, c.Table, in, err)
	}
	if r.NoValue {
		return key, nil, true, nil
	}
	value, err = c.encode(r.Value)
	return key, value, err == nil, err
}

// encode encodes a value. As when the row was stored, no error policy applies to an
// error. The result is not nil.
func (c TopicRows[K, V]) encode(v V) (data []byte, err error) {
	defer graph.Guard(&err)
	if data, err = c.Source.Values.Append([]byte{}, v); err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	return data, nil
}

func rowError(phase processor.Phase, node string, in *graph.Input, cause error) error {
	return &processor.Error{
		Phase: phase, Node: node, Topic: in.Topic, Partition: in.Partition, Offset: in.Offset, Key: in.Key, Value: in.Value, Err: cause,
	}
}
