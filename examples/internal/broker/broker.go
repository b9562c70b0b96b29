// Package broker provides the Kafka broker of the example programs.
package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Embedded starts a broker in this process. The broker keeps its data in dir/broker and
// continues with the data that it finds there, also after kill -9. A second broker on the
// same directory is an error. The caller must call stop, after the last client has closed
// its connection.
func Embedded(dir string) (brokers []string, stop func(), err error) {
	data := filepath.Join(dir, "broker")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, nil, fmt.Errorf("make the directory of the embedded broker: %w", err)
	}
	// The broker itself does not prevent two processes from writing to the same files.
	lock, err := vfs.Default.Lock(filepath.Join(dir, "broker.lock"))
	if err != nil {
		return nil, nil, fmt.Errorf("the embedded broker on %s is in use by another process: %w", data, err)
	}
	c, j, err := open(data, filepath.Join(dir, "broker.commit"))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("start the embedded broker on %s: %w", data, err), lock.Close())
	}
	return c.ListenAddrs(), func() { c.Close(); _ = j.close(); _ = lock.Close() }, nil
}

// Seeds splits the value of the flag -brokers into broker addresses.
func Seeds(brokers string) ([]string, error) {
	seeds := strings.Split(brokers, ",")
	for i, seed := range seeds {
		if seeds[i] = strings.TrimSpace(seed); seeds[i] == "" {
			return nil, fmt.Errorf("-brokers %s: want host:port, or several separated by commas", brokers)
		}
	}
	return seeds, nil
}

// open starts a broker that records its commits in a journal.
func open(data, path string) (*kfake.Cluster, *journal, error) {
	j, err := openJournal(data, path)
	if err != nil {
		return nil, nil, err
	}
	c, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.DataDir(data),
		// Clean after 292 years, the longest interval that the broker can express. Unlike
		// a real broker, its cleaner does not spare the records of open transactions.
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "9223372036854"}),
	)
	if err != nil {
		_ = j.file.Close()
		return nil, nil, err
	}
	c.ControlKey(kmsg.EndTxn.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if err := j.note(request.(*kmsg.EndTxnRequest)); err != nil {
			// closes the connection: no commit is better than half a commit
			return nil, err, true
		}
		return nil, nil, false
	})
	if j.killed {
		if err := endAborted(c.ListenAddrs(), data); err != nil {
			c.Close()
			_ = j.file.Close()
			return nil, nil, fmt.Errorf("end the transactions that were open: %w", err)
		}
	}
	return c, j, nil
}

// endAborted writes the markers of the transactions that were open when the broker was
// killed. The broker treats these transactions as aborted, but a client looks for the
// marker. Without a marker, the client waits for it at the end of a partition, and treats
// later records of the same producer as aborted too.
func endAborted(brokers []string, data string) error {
	dirs, err := partitionDirs(data)
	if err != nil {
		return err
	}
	type producer struct {
		id    int64
		epoch int16
	}
	open := make(map[producer]kadm.TopicsSet)
	for _, dir := range dirs {
		topic, partition, err := topicOf(dir)
		if err != nil {
			return err
		}
		l, err := openLog(dir)
		if err != nil {
			return err
		}
		for id, epoch := range l.open {
			in := open[producer{id, epoch}]
			in.Add(topic, partition)
			open[producer{id, epoch}] = in
		}
	}
	var markers []kadm.TxnMarkers
	for p, topics := range open {
		markers = append(markers, kadm.TxnMarkers{ProducerID: p.id, ProducerEpoch: p.epoch, Topics: topics})
	}
	return writeMarkers(brokers, markers)
}

func writeMarkers(brokers []string, markers []kadm.TxnMarkers) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	responses, err := kadm.NewClient(client).WriteTxnMarkers(ctx, markers...)
	if err != nil {
		return err
	}
	for _, r := range responses {
		for _, topic := range r.Topics {
			for _, partition := range topic.Partitions {
				if partition.Err != nil {
					return fmt.Errorf("topic %s, partition %d: %w", topic.Topic, partition.Partition, partition.Err)
				}
			}
		}
	}
	return nil
}

// Create creates the topics that do not exist yet, with the brokers' default replication.
// It leaves existing topics unchanged. It returns when all partitions have a leader, so
// that they can be written and read.
func Create(ctx context.Context, client *kgo.Client, partitions int32, topics ...string) error {
	return create(ctx, client, partitions, nil, topics)
}

// CreateCompacted is Create for the topics of tables: the broker keeps the newest record
// of each key.
func CreateCompacted(ctx context.Context, client *kgo.Client, partitions int32, topics ...string) error {
	return create(ctx, client, partitions, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}, topics)
}

func create(ctx context.Context, client *kgo.Client, partitions int32, configs map[string]*string, topics []string) error {
	responses, err := kadm.NewClient(client).CreateTopics(ctx, partitions, -1, configs, topics...)
	if err != nil {
		return fmt.Errorf("create topics %s: %w", strings.Join(topics, ", "), err)
	}
	for _, r := range responses {
		if r.Err != nil && !errors.Is(r.Err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", r.Topic, r.Err)
		}
	}
	return await(ctx, client, topics)
}

// await returns when all partitions of the topics have a leader. Brokers learn of a new
// topic a moment after its creation.
func await(ctx context.Context, client *kgo.Client, topics []string) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	var last error
	for {
		err := led(ctx, client, topics)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for topics %s: %w", strings.Join(topics, ", "), errors.Join(ctx.Err(), last))
		case <-ticker.C:
		}
	}
}

// led returns an error that names a topic with a partition that has no leader, if there
// is one. It sends its own request, because the client's metadata may be seconds old.
func led(ctx context.Context, client *kgo.Client, topics []string) error {
	request := kmsg.NewPtrMetadataRequest()
	for _, topic := range topics {
		asked := kmsg.NewMetadataRequestTopic()
		asked.Topic = &topic
		request.Topics = append(request.Topics, asked)
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range response.Topics {
		codes := []int16{t.ErrorCode}
		for _, p := range t.Partitions {
			codes = append(codes, p.ErrorCode)
		}
		for _, code := range codes {
			if err := kerr.ErrorForCode(code); err != nil {
				errs = append(errs, fmt.Errorf("topic %s: %w", *t.Topic, err))
				break
			}
		}
	}
	return errors.Join(errs...)
}
