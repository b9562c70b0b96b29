package runtime

import (
	"context"
	"errors"

	"github.com/millrace-streams/millrace/internal/health"
	"github.com/millrace-streams/millrace/internal/protocol"
)

// checkBrokers returns an error if a broker is too old for the guarantee. It is the first
// step that needs an answer. If the run ends during it and no broker has answered at all,
// the error says so.
func (r *Run) checkBrokers() error {
	err := r.untilReachable("comparing the versions of the brokers", func(ctx context.Context) error {
		report, err := protocol.Check(ctx, r.client, r.cfg.ExactlyOnce)
		if err == nil && report.NoTopicIDs {
			r.log.Warn("the brokers do not report topic IDs (Kafka 2.8 and later do): the application cannot notice that a topic was deleted and created again")
		}
		return err
	})
	if err != nil && r.soft.Err() != nil {
		if never := r.health.Report().NeverReached(); never != nil {
			return never
		}
	}
	return err
}

// endedEarly reports whether prepare has failed with err only because the run was ended.
func (r *Run) endedEarly(err error) bool {
	return r.soft.Err() != nil && errors.Is(err, r.soft.Err()) && !errors.Is(err, health.ErrNoBroker)
}
