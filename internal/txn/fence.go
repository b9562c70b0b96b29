package txn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fenceParallel limits the concurrent requests of one Fence.
const fenceParallel = 16

// fenceTimeout is the transaction timeout in Fence's requests. No transaction is opened
// with it. It only has to be acceptable to brokers that allow only short timeouts.
const fenceTimeout = time.Second

// Fence initialises all given transactional IDs, in parallel. The transactions that their
// last users left open are aborted (or committed, if the commit had already begun). Those
// users can commit nothing more. If Fence returns nil, all transactions are decided.
// While the coordinator is busy, it retries until ctx ends. It returns all errors.
func Fence(ctx context.Context, opts []kgo.Opt, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("fencing old transactions: %w", err)
	}
	defer cl.Close()
	var (
		wg    sync.WaitGroup
		slots = make(chan struct{}, fenceParallel)
		errs  = make([]error, len(ids))
	)
	for i, id := range ids {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := retry(ctx, patiently(isRetriable), func(ctx context.Context) error { return initTransactionalID(ctx, cl, id) })
			if err != nil {
				errs[i] = fmt.Errorf("fencing transactional ID %q: %w", id, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func initTransactionalID(ctx context.Context, cl *kgo.Client, id string) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID = &id
	req.TransactionTimeoutMillis = int32(fenceTimeout / time.Millisecond)
	req.ProducerID, req.ProducerEpoch = -1, -1
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}
