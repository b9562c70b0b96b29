package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/assignment"
	"github.com/millrace-streams/millrace/internal/seam"
	"github.com/millrace-streams/millrace/internal/taskid"
	"github.com/millrace-streams/millrace/internal/transient"
	"github.com/millrace-streams/millrace/internal/txn"
)

// Config is the configuration of a Classic membership.
type Config struct {
	Opts       []kgo.Opt // the user's client options
	Group      string
	InstanceID string // group.instance.id

	Topology     assignment.Topology
	Subscription func() assignment.Subscription // called at each join

	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration // how long Handler.Revoked may take

	Handler Handler
	Logger  *slog.Logger

	Mistake seam.Mistake
}

// Classic is a static member of a group in Kafka's classic protocol. Its client does not
// fetch. A separate client without a group reads the partitions; the runtime decides from
// which positions and when.
type Classic struct {
	cfg      Config
	cl       *kgo.Client
	balancer *assignment.Balancer
	topicOf  map[string]int32 // sub-topology that reads the topic
	drained  chan struct{}
	losing   sync.WaitGroup // of the mistake LiveIdentity

	mu     sync.Mutex
	member string // of this incarnation; "" between two
	held   map[taskid.ID]bool
	target []taskid.ID // of the last received assignment
	again  string      // reason to join again after it
}

// Join makes a client and starts to join. It returns without waiting for the group.
func Join(cfg Config) (*Classic, error) {
	c := &Classic{cfg: cfg, topicOf: map[string]int32{}, held: map[taskid.ID]bool{}, drained: make(chan struct{})}
	for _, sub := range cfg.Topology.SubTopologies {
		for _, source := range sub.Sources {
			c.topicOf[source.Topic] = sub.ID
		}
	}
	balancer, err := assignment.NewBalancer(cfg.Topology, cfg.Subscription, c.received)
	if err != nil {
		return nil, err
	}
	c.balancer = balancer
	ready := make(chan struct{}) // callbacks wait for c.cl
	wait := func(f func(*kgo.Client, map[string][]int32)) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, cl *kgo.Client, partitions map[string][]int32) {
			<-ready
			f(cl, partitions)
		}
	}
	opts := append(slices.Clone(cfg.Opts),
		kgo.ConsumerGroup(cfg.Group), kgo.InstanceID(cfg.InstanceID), kgo.ConsumeTopics(cfg.Topology.Topics()...),
		kgo.Balancers(balancer), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(cfg.SessionTimeout), kgo.HeartbeatInterval(heartbeat(cfg.SessionTimeout)), kgo.RebalanceTimeout(cfg.RebalanceTimeout),
		kgo.OnPartitionsAssigned(wait(c.assigned)), kgo.OnPartitionsRevoked(wait(c.revoked)), kgo.OnPartitionsLost(wait(c.lost)),
		kgo.AdjustFetchOffsetsFn(fetchNothing), kgo.WithHooks(manageErrors{c}))
	c.cl, err = kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("client of group %s: %w", cfg.Group, err)
	}
	close(ready)
	go c.drain()
	return c, nil
}

// heartbeat returns the interval of heartbeats. It is below a third of the session
// timeout, as Kafka advises, and short enough that a rebalance does not wait for a
// heartbeat.
func heartbeat(session time.Duration) time.Duration { return min(session/5, 3*time.Second) }

// fetchNothing keeps the group's client from consuming the partitions that it is
// assigned.
func fetchNothing(context.Context, map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	return nil, nil
}

// drain takes the errors that kgo keeps for a polling consumer. manageErrors has seen
// them already.
func (c *Classic) drain() {
	defer close(c.drained)
	for {
		if c.cl.PollFetches(context.Background()).IsClientClosed() {
			return
		}
	}
}

// received is called by the balancer before the callbacks of the same assignment.
func (c *Classic) received(r assignment.Received) {
	if r.Message != "" {
		c.cfg.Logger.Warn("the group's leader gave this process no tasks", "reason", r.Message)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.target = r.Tasks.Active
	c.again = r.Rejoin
}

func (c *Classic) assigned(cl *kgo.Client, partitions map[string][]int32) {
	c.losing.Wait()
	c.endForeignIncarnation(cl)
	member, generation := cl.GroupMetadata()
	c.mu.Lock()
	c.member = member
	fresh := c.missing(partitions)
	for _, t := range fresh {
		c.held[t] = true
	}
	again := c.again
	c.again = ""
	c.mu.Unlock()
	c.cfg.Handler.Assigned(generation, fresh)
	if again != "" {
		c.cfg.Logger.Info("asking the group for another assignment", "reason", again)
		cl.ForceRebalance()
	}
}

// missing returns the assigned tasks that the handler does not have: those of the
// partitions that the client reports as new. If the tasks of an earlier incarnation have
// just been dropped, it returns all other assigned tasks too.
func (c *Classic) missing(partitions map[string][]int32) []taskid.ID {
	want := c.tasksOf(partitions)
	for _, t := range c.target {
		if !slices.Contains(want, t) {
			want = append(want, t)
		}
	}
	fresh := slices.DeleteFunc(want, func(t taskid.ID) bool { return c.held[t] || !slices.Contains(c.target, t) })
	slices.SortFunc(fresh, taskid.ID.Compare)
	return fresh
}

// endForeignIncarnation drops everything if the client has become another member without
// notice. kgo does so if the coordinator does not know the member ID while the client
// joins.
func (c *Classic) endForeignIncarnation(cl *kgo.Client) {
	member, _ := cl.GroupMetadata()
	c.mu.Lock()
	same := c.member == "" || c.member == member
	c.mu.Unlock()
	if !same {
		c.loseAll()
	}
}

func (c *Classic) revoked(cl *kgo.Client, partitions map[string][]int32) {
	c.endForeignIncarnation(cl)
	_, generation := cl.GroupMetadata()
	c.mu.Lock()
	tasks := slices.DeleteFunc(c.tasksOf(partitions), func(t taskid.ID) bool { return !c.held[t] })
	c.mu.Unlock()
	if len(tasks) == 0 {
		return
	}
	c.cfg.Handler.Revoked(generation, tasks)
	c.mu.Lock()
	for _, t := range tasks {
		delete(c.held, t)
	}
	c.mu.Unlock()
}

func (c *Classic) lost(*kgo.Client, map[string][]int32) {
	c.lose(c.loseAll)
}

func (c *Classic) loseAll() {
	c.mu.Lock()
	c.member = ""
	tasks := make([]taskid.ID, 0, len(c.held))
	for t := range c.held {
		tasks = append(tasks, t)
	}
	c.mu.Unlock()
	slices.SortFunc(tasks, taskid.ID.Compare)
	if len(tasks) > 0 {
		c.cfg.Handler.Lost(tasks)
	}
	c.mu.Lock()
	clear(c.held)
	c.mu.Unlock()
}

// tasksOf returns the tasks that read the partitions. One sub-topology reads each topic.
func (c *Classic) tasksOf(partitions map[string][]int32) []taskid.ID {
	var tasks []taskid.ID
	for topic, ps := range partitions {
		sub, ok := c.topicOf[topic]
		if !ok {
			continue
		}
		for _, p := range ps {
			if t := (taskid.ID{SubTopology: sub, Partition: p}); !slices.Contains(tasks, t) {
				tasks = append(tasks, t)
			}
		}
	}
	slices.SortFunc(tasks, taskid.ID.Compare)
	return tasks
}

// Identity implements Membership.
func (c *Classic) Identity() txn.Identity {
	member, generation := c.cl.GroupMetadata()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.live() && (c.member == "" || c.member != member) {
		return txn.Identity{Generation: -1}
	}
	return txn.Identity{MemberID: member, Generation: generation, InstanceID: c.cfg.InstanceID}
}

// refreshEvery is the interval at which Refresh checks the generation. kgo has no event
// for a new generation that is delivered outside of its locks.
const refreshEvery = 5 * time.Millisecond

var errIncarnation = errors.New("the group took this process's tasks away")

// Refresh implements Membership.
func (c *Classic) Refresh(ctx context.Context, stale txn.Identity) (txn.Identity, error) {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		id := c.Identity()
		if id.MemberID != stale.MemberID {
			return txn.Identity{}, errIncarnation
		}
		if id.Generation > stale.Generation {
			return id, nil
		}
		select {
		case <-ctx.Done():
			return txn.Identity{}, ctx.Err()
		case <-tick.C:
		}
	}
}

// Rejoin implements Membership.
func (c *Classic) Rejoin() {
	c.balancer.Renew()
	c.cl.ForceRebalance()
}

// Stop implements Membership.
func (c *Classic) Stop(ctx context.Context, leave bool) error {
	// kgo sends no LeaveGroup for a static member. This call ends the heartbeats and
	// revokes the remaining tasks.
	err := c.cl.LeaveGroupContext(ctx)
	if leave && ctx.Err() == nil {
		err = errors.Join(err, Leave(ctx, c.cl, c.cfg.Group, c.cfg.InstanceID))
	}
	c.cl.Close()
	<-c.drained
	return err
}

// Leave ends the membership of a static member. The group gives its tasks to other
// processes immediately. Use it if the process has joined before, and has no Membership
// now.
func Leave(ctx context.Context, cl *kgo.Client, group, instanceID string) error {
	request := kadm.LeaveGroup(group).InstanceIDs(instanceID).Reason("graceful close")
	responses, err := kadm.NewClient(cl).LeaveGroup(ctx, request)
	if err == nil {
		err = responses.Error()
	}
	// it never joined, or its session has expired
	if errors.Is(err, kerr.UnknownMemberID) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("leaving group %s: %w", group, err)
	}
	return nil
}

// manageErrors is the hook for errors of the group.
type manageErrors struct{ c *Classic }

// OnGroupManageError implements kgo.HookGroupManageError.
func (m manageErrors) OnGroupManageError(err error) {
	explained, fatal := explain(err, m.c.cfg)
	m.c.cfg.Handler.Trouble(explained, fatal)
}

// explain adds to an error of the group what to do about it. It reports whether the error
// ends the membership.
func explain(err error, cfg Config) (error, bool) {
	advice := map[error]string{
		kerr.FencedInstanceID: "another process uses the same identity: it runs with a copy of this state directory, or with the directory " +
			"itself over a file system that does not keep locks; give each process its own",
		kerr.InconsistentGroupProtocol: "members of another kind are in this group: the application ID is used by something else",
		kerr.InvalidSessionTimeout: fmt.Sprintf("the broker does not accept Config.SessionTimeout %v: choose a value between its group.min.session.timeout.ms "+
			"and group.max.session.timeout.ms", cfg.SessionTimeout),
		kerr.GroupAuthorizationFailed: "the client may not use this group",
		kerr.InvalidGroupID:           "the broker does not accept the application ID as a group ID",
		kerr.TopicAuthorizationFailed: "the client may not read a topic of the topology",
	}
	for cause, what := range advice {
		if errors.Is(err, cause) {
			return fmt.Errorf("group %s: %s: %w", cfg.Group, what, err), true
		}
	}
	return fmt.Errorf("group %s: %w", cfg.Group, err), final(err)
}

// final reports whether the broker's answer will stay the same however long one waits.
// The client retries forever, whatever the answer.
func final(err error) bool {
	var answer *kerr.Error
	// A coordinator answers UNKNOWN_SERVER_ERROR for any internal failure.
	return errors.As(err, &answer) && answer != kerr.UnknownServerError && !transient.Is(err)
}
