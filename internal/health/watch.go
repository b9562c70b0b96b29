package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/backoff"
)

const (
	every  = time.Second // between two rounds
	within = time.Second // a broker has to answer
)

// Watch asks until ctx ends, and calls changed with each report that differs from the one
// before. opts are those of a client; Watch makes its own with them.
func Watch(ctx context.Context, opts []kgo.Opt, group string, t *Tracker, changed func(Report)) error {
	cl, err := kgo.NewClient(append(opts, kgo.WithContext(ctx), kgo.RequestTimeoutOverhead(2*within))...)
	if err != nil {
		return fmt.Errorf("client that watches the brokers: %w", err)
	}
	w := &watcher{cl: cl, group: group}
	defer w.listing.Wait()
	defer cl.Close()
	for {
		round := w.ask(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if report, differs := t.Observe(time.Now(), round); differs {
			changed(report)
		}
		if backoff.Sleep(ctx, every) != nil {
			return nil
		}
	}
}

// watcher asks the questions. Only one goroutine uses it.
type watcher struct {
	cl      *kgo.Client
	group   string
	brokers atomic.Pointer[[]kmsg.MetadataResponseBroker] // nil before the first answer
	// busy is set while the list of brokers is being requested.
	busy    atomic.Bool
	listing sync.WaitGroup
}

// ask asks all brokers at once for the group's coordinator. Each answer is a sign of
// life. One of them must name a coordinator that has answered too.
func (w *watcher) ask(ctx context.Context) Round {
	known := w.brokers.Load()
	if known == nil {
		w.list(ctx)
	}
	within, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	targets := w.targets(known)
	var asking sync.WaitGroup
	round, found := Round{Brokers: make([]Answer, len(targets))}, make([]coordinator, len(targets))
	for i, target := range targets {
		asking.Go(func() {
			round.Brokers[i] = target.Answer
			found[i], round.Brokers[i].Err = find(within, target.broker, w.group)
		})
	}
	asking.Wait()
	round.Group = judge(found, round.Brokers)
	if round.Group != nil || slices.ContainsFunc(round.Brokers, func(a Answer) bool { return a.Err != nil }) {
		w.list(ctx) // brokers may have come or gone
	}
	return round
}

// list requests the brokers of the cluster. It does not wait, because on a silent network
// the client takes long to give up.
func (w *watcher) list(ctx context.Context) {
	if w.busy.Swap(true) {
		return
	}
	w.listing.Go(func() {
		defer w.busy.Store(false)
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{} // none; nil would be all
		if resp, err := req.RequestWith(ctx, w.cl); err == nil {
			w.brokers.Store(&resp.Brokers)
		}
	})
}

type target struct {
	Answer
	broker *kgo.Broker
}

// targets returns the brokers of the cluster or, until they are known, the seeds.
func (w *watcher) targets(known *[]kmsg.MetadataResponseBroker) []target {
	var all []target
	if known == nil {
		for i, b := range w.cl.SeedBrokers() {
			all = append(all, target{Answer{ID: int32(-1 - i)}, b})
		}
		return all
	}
	for _, b := range *known {
		address := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		all = append(all, target{Answer{ID: b.NodeID, Address: address}, w.cl.Broker(int(b.NodeID))})
	}
	return all
}

// coordinator is the answer of one broker about the group's coordinator.
type coordinator struct {
	node int32
	err  error
}

func find(ctx context.Context, b *kgo.Broker, group string) (coordinator, error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	// Before version 4 there is one key.
	req.CoordinatorKey, req.CoordinatorKeys = group, []string{group}
	resp, err := req.RequestWith(ctx, b)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %v: %w", within, err)
		}
		return coordinator{}, err
	}
	if len(resp.Coordinators) > 0 {
		c := resp.Coordinators[0]
		return coordinator{c.NodeID, kerr.ErrorForCode(c.ErrorCode)}, nil
	}
	return coordinator{resp.NodeID, kerr.ErrorForCode(resp.ErrorCode)}, nil
}

// judge returns why the group is out of reach, or nil.
func judge(found []coordinator, answers []Answer) error {
	why := error(nil)
	for i, c := range found {
		switch {
		case answers[i].Err != nil:
			continue
		case c.err != nil:
			why = fmt.Errorf("the group has no coordinator: %w", c.err)
			continue
		}
		if why = silentNode(c.node, answers); why == nil {
			return nil
		}
	}
	return why
}

// silentNode returns an error if the broker was asked and has not answered. A broker that
// the client does not know yet is asked in a later round.
func silentNode(node int32, answers []Answer) error {
	for _, a := range answers {
		if a.ID == node && a.Err != nil {
			return fmt.Errorf("the group's coordinator, broker %d at %s: %w", node, a.Address, a.Err)
		}
	}
	return nil
}
