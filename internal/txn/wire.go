package txn

import (
	"bytes"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/batchsize"
)

// UsualBatch is the largest batch for a topic whose configuration is not known. It is
// kgo's default, which is below Kafka's.
const UsualBatch = 1_000_012

// limit returns the largest batch of a topic, in bytes as the broker counts them.
func (p *Producer) limit(topic string) int {
	if p.cfg.BatchMaxBytes != nil {
		if n := p.cfg.BatchMaxBytes(topic); n > 0 {
			return int(n)
		}
	}
	return UsualBatch
}

// batchLimit returns the largest batch of a topic as kgo counts it. kgo includes the
// length prefix, a varint; the broker does not. To validate the options, kgo calls it
// once with the empty topic.
func (p *Producer) batchLimit(topic string) int32 {
	const least, most = 512, 1 << 30
	switch {
	case topic == "":
		return UsualBatch
	case p.wide[topic]:
		return most // Settle limits the groups, the broker the batches
	}
	n := p.limit(topic)
	return int32(min(max(n+varintBytes(n), least), most))
}

func varintBytes(n int) int {
	bytes := 1
	for n >>= 7; n > 0; n >>= 7 {
		bytes++
	}
	return bytes
}

// Compressed returns the size of a batch with only r, compressed as the client does.
func (p *Producer) Compressed(r *kgo.Record) int {
	record := kmsg.Record{TimestampDelta64: 0, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		record.Headers = append(record.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
	}
	encoded := record.AppendTo(nil)
	// the length itself took one byte, because it was 0
	record.Length = int32(len(encoded) - 1)
	encoded = record.AppendTo(encoded[:0])
	size := len(encoded)
	if compressor, ok := p.cl.OptValue(kgo.WithCompressor).(kgo.Compressor); ok && compressor != nil {
		if compressed, _ := compressor.Compress(new(bytes.Buffer), encoded); compressed != nil {
			size = min(size, len(compressed))
		}
	}
	return batchsize.Overhead + size
}
