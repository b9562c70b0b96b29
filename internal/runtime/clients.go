package runtime

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/dialer"
)

const metadataMinAge = 100 * time.Millisecond

// clients makes the options of the Kafka clients of a run.
type clients struct {
	cfg  *Config
	ctx  context.Context // the context of their requests
	dial dialer.Func     // the user's, bounded; nil for kgo's own, with TLS
}

func newClients(ctx context.Context, cfg *Config) (*clients, error) {
	c := &clients{cfg: cfg, ctx: ctx}
	cl, err := kgo.NewClient(append(c.seedBrokers(), cfg.ClientOptions...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	c.dial = boundedDialer(cl)
	return c, nil
}

// boundedDialer returns the dialer of a client with the time limit of kgo.DialTimeout. It
// returns nil if kgo.DialTLSConfig makes the dialer, because kgo bounds that one.
func boundedDialer(cl *kgo.Client) dialer.Func {
	if secure, _ := cl.OptValue(kgo.DialTLSConfig).(*tls.Config); secure != nil {
		return nil
	}
	dial, _ := cl.OptValue(kgo.Dialer).(dialer.Func)
	limit, _ := cl.OptValue(kgo.DialTimeout).(time.Duration)
	if dial == nil || limit <= 0 {
		return dial
	}
	return dialer.Bounded(dial, limit)
}

func (c *clients) seedBrokers() []kgo.Opt {
	if len(c.cfg.Brokers) == 0 {
		return nil
	}
	return []kgo.Opt{kgo.SeedBrokers(c.cfg.Brokers...)}
}

// options returns the options of every client, and more.
func (c *clients) options(more ...kgo.Opt) []kgo.Opt {
	opts := c.seedBrokers()
	// By default, kgo waits 5 s between two reads of the metadata. Each move of a leader
	// would cause a pause of that length.
	opts = append(opts, kgo.ClientID(c.cfg.ApplicationID), kgo.MetadataMinAge(metadataMinAge))
	// If clients pushed metrics to the broker, Close would wait a second for a broker
	// that is gone.
	opts = append(opts, kgo.DisableClientMetrics())
	opts = append(opts, c.cfg.ClientOptions...)
	// When the time for closing is up, closing a client does not wait for brokers.
	opts = append(opts, kgo.WithContext(c.ctx))
	if c.dial != nil {
		opts = append(opts, kgo.Dialer(c.dial))
	}
	return append(opts, more...)
}
