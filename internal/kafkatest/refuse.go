package kafkatest

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Names is the option of a cluster for [Cluster.Refuse]: produce requests name topics,
// instead of giving their IDs.
func Names() kfake.Opt {
	const lastByName = 12
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.Produce), lastByName)
	return kfake.MaxVersions(versions)
}

// Record is a record of a batch that the broker is asked to write.
type Record struct {
	Key, Value []byte
	Timestamp  int64 // ms
	Partition  int32
}

// Refuse makes the broker refuse records as a real one does: the whole batch, with a bare
// error code. It refuses each batch for the topic's first partitions that holds a record
// for which bad returns true. bad is called on the broker's goroutine. Removing all
// returned faults ends it. The cluster must have been made with [Names].
func (c *Cluster) Refuse(topic string, partitions int32, code *kerr.Error, bad func(Record) bool) []*kfake.FaultHandle {
	c.t.Helper()
	var faults []*kfake.FaultHandle
	for p := range partitions {
		faults = append(faults, c.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Partitions: []int32{p}, Err: code, Count: -1,
			When: func(req kmsg.Request) bool { return c.anyRecord(req.(*kmsg.ProduceRequest), topic, p, bad) },
		}))
	}
	return faults
}

func (c *Cluster) anyRecord(req *kmsg.ProduceRequest, topic string, partition int32, is func(Record) bool) bool {
	for _, rt := range req.Topics {
		for _, rp := range rt.Partitions {
			if rt.Topic != topic || rp.Partition != partition {
				continue
			}
			for _, r := range c.decode(rp.Records) {
				r.Partition = partition
				if is(r) {
					return true
				}
			}
		}
	}
	return false
}

// decode returns the records of a batch.
func (c *Cluster) decode(batch []byte) (records []Record) {
	if len(batch) == 0 { // the client failed the batch while it wrote the request
		return nil
	}
	var b kmsg.RecordBatch
	if err := b.ReadFrom(batch); err != nil {
		c.t.Error(err)
		return nil
	}
	raw, err := kgo.DefaultDecompressor().Decompress(b.Records, kgo.CompressionCodecType(b.Attributes&7))
	if err != nil {
		c.t.Error(err)
		return nil
	}
	for range b.NumRecords {
		var r kmsg.Record
		if err := r.ReadFrom(raw); err != nil {
			c.t.Error(err)
			return records
		}
		records = append(records, Record{Key: r.Key, Value: r.Value, Timestamp: b.FirstTimestamp + r.TimestampDelta64})
		raw = raw[len(r.AppendTo(nil)):]
	}
	return records
}
