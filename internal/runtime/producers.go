package runtime

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/statedir"
	"github.com/millrace-streams/millrace/internal/txn"
)

// fenceTimeout bounds one try to fence, so that the log shows what the run waits for.
const fenceTimeout = 15 * time.Second

// producers makes the producers of workers, and ends the transactions of earlier runs.
type producers struct {
	*life
	cfg       *Config
	clients   *clients
	plan      *plan
	catalogue *catalogue
	member    *member
	process   string
}

func (p *producers) transactionalID(index int) string {
	return fmt.Sprintf("%s-%s-%d", p.cfg.ApplicationID, p.process, index)
}

// fence records the transactional IDs of this run. It ends the open transactions of
// earlier runs under other IDs. Those under the same IDs end when the workers initialise
// their producers, in parallel with the join; a task reads committed offsets only after
// that.
func (p *producers) fence(dir *statedir.Dir) error {
	if !p.cfg.ExactlyOnce {
		return nil
	}
	var mine []string
	for i := range p.cfg.Workers {
		mine = append(mine, p.transactionalID(i))
	}
	former := slices.DeleteFunc(dir.TransactionalIDs(), func(id string) bool { return slices.Contains(mine, id) })
	if err := dir.RecordTransactionalID(mine...); err != nil {
		return err
	}
	return p.untilReachable("fencing former transactions", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, fenceTimeout)
		defer cancel()
		return txn.Fence(ctx, p.clients.options(), former)
	})
}

// make makes the producer of a worker.
func (p *producers) make(index int, caution *txn.Caution) (*txn.Producer, error) {
	cfg := txn.Config{
		Opts: p.clients.options(), TransactionTimeout: p.cfg.TransactionTimeout, Group: p.cfg.ApplicationID,
		BatchMaxBytes: func(topic string) int32 { return int32(p.catalogue.Limits(topic).MaxBytes) },
		Caution:       caution, Refresh: p.member.refresh, Logger: p.log,
	}
	if p.cfg.ExactlyOnce {
		cfg.TransactionalID = p.transactionalID(index)
	}
	if step := p.cfg.Seams.Step; step != nil {
		cfg.Hook = func(at txn.Step) error { return step(index, at) }
	}
	made, err := txn.New(p.hard, cfg)
	if err != nil {
		return nil, err
	}
	for _, topic := range p.plan.changelogs() {
		made.Track(topic)
	}
	return made, nil
}
