// Package kafkatest starts fake Kafka clusters for tests.
//
// The cluster is franz-go's kfake: a broker in memory that speaks Kafka's protocol. [New]
// lets it listen on the loopback interface. [Virtual] puts it on a network in memory and
// the test in a testing/synctest bubble, so that timeouts cost nothing and the result
// does not depend on the speed of the machine.
package kafkatest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// MinSessionTimeout is the shortest session timeout that the clusters grant to members.
const MinSessionTimeout = 100 * time.Millisecond

// Cluster is a fake cluster. It is closed at the end of the test.
type Cluster struct {
	*kfake.Cluster

	// Net is the network that the cluster listens on. It is nil on the loopback
	// interface.
	Net *kfake.VirtualNetwork

	t testing.TB
}

// New starts a cluster of one broker on the loopback interface. Options override its
// settings.
func New(t testing.TB, opts ...kfake.Opt) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	c.start(opts)
	return c
}

// Virtual calls test in a synctest bubble with a cluster of one broker, which listens on
// port 9092 of a virtual network. Options override the cluster's settings.
func Virtual(t *testing.T, test func(t *testing.T, c *Cluster), opts ...kfake.Opt) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, InBubble(t, opts...)) })
}

// InBubble is Virtual for a test that is in a synctest bubble already.
func InBubble(t testing.TB, opts ...kfake.Opt) *Cluster {
	t.Helper()
	c := &Cluster{t: t, Net: new(kfake.VirtualNetwork)}
	virtual := []kfake.Opt{kfake.Ports(9092), kfake.ListenFn(c.Net.Listen)}
	c.start(append(virtual, opts...))
	return c
}

func (c *Cluster) start(opts []kfake.Opt) {
	c.t.Helper()
	defaults := []kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(MinSessionTimeout)}
	cluster, err := kfake.NewCluster(append(defaults, opts...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cluster.Close)
	c.Cluster = cluster
}

// Dial returns the client options that lead a client onto the cluster's network. On the
// loopback interface there are none.
func (c *Cluster) Dial() []kgo.Opt {
	if c.Net == nil {
		return nil
	}
	return []kgo.Opt{kgo.Dialer(c.Net.DialContext)}
}

// Options returns what a client needs to reach the cluster: its addresses and Dial.
func (c *Cluster) Options() []kgo.Opt {
	return append(c.Dial(), kgo.SeedBrokers(c.ListenAddrs()...))
}

// Client returns a client of the cluster. Options override its settings. It is closed at
// the end of the test, before the cluster is.
func (c *Cluster) Client(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	cl, err := kgo.NewClient(append(c.Options(), opts...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}
