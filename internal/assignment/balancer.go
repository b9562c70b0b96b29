package assignment

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ProtocolName is the name of the protocol in the group. The coordinator refuses a member
// that supports none of the group's protocols. A plain consumer can therefore not join a
// group of this library by mistake.
const ProtocolName = "millrace"

// Balancer is the process's part in the classic group protocol. It says what the process
// sends when it joins, how the process plans if it is the leader, and what it does with
// its assignment. Give it to one client, as the client's only balancer; the client must
// consume all topics of the topology. The client calls it from its goroutine for the
// group. The other methods may be called from any goroutine.
type Balancer struct {
	topology     Topology
	subscription func() Subscription
	received     func(Received)

	mu    sync.Mutex
	nonce uint64
	said  Subscription       // at the last join
	held  map[string][]int32 // at the last join
}

// Received is an assignment as the process received it.
type Received struct {
	Assignment
	// Rejoin is a reason, in words for a log, to call (*kgo.Client).ForceRebalance. It is
	// empty if no call is needed. If it is set, the assignment is not, or not yet, the
	// one that the process should have, and no other process will correct that. The
	// balancer has already changed the nonce, so that the coordinator does not ignore the
	// call.
	Rejoin string
}

var _ kgo.GroupBalancer = (*Balancer)(nil)

// NewBalancer makes a balancer. It ignores the partition counts of t: the leader uses the
// counts that the cluster has when it plans.
//
// subscription is called each time the process joins. The balancer sets Fingerprint,
// Matched and Nonce of the result.
//
// received is called with each assignment, before the client calls OnPartitionsRevoked
// and OnPartitionsAssigned. If the assignment was made for another process, it is passed
// without tasks, and the client gets no partitions.
//
// Neither function may block. Neither may call methods of the client that wait for the
// group.
func NewBalancer(t Topology, subscription func() Subscription, received func(Received)) (*Balancer, error) {
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("assignment: %w", err)
	}
	return &Balancer{topology: t, subscription: subscription, received: received}, nil
}

// Renew changes the nonce, so that the coordinator does not ignore the next
// ForceRebalance.
func (b *Balancer) Renew() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nonce++
}

// ProtocolName implements [kgo.GroupBalancer].
func (*Balancer) ProtocolName() string { return ProtocolName }

// IsCooperative implements [kgo.GroupBalancer].
func (*Balancer) IsCooperative() bool { return true }

// JoinGroupMetadata implements [kgo.GroupBalancer].
func (b *Balancer) JoinGroupMetadata(topics []string, held map[string][]int32, generation int32) []byte {
	s := b.subscription()
	b.mu.Lock()
	s.Fingerprint, s.Matched, s.Nonce = b.topology.Fingerprint, b.topology.Matched, b.nonce
	b.said, b.held = s, held
	b.mu.Unlock()

	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version = 3
	meta.Topics = topics
	meta.UserData = s.Append(nil)
	meta.Generation = generation
	for _, topic := range slices.Sorted(maps.Keys(held)) {
		owned := kmsg.NewConsumerMemberMetadataOwnedPartition()
		owned.Topic, owned.Partitions = topic, held[topic]
		meta.OwnedPartitions = append(meta.OwnedPartitions, owned)
	}
	return meta.AppendTo(nil)
}

// ParseSyncAssignment implements [kgo.GroupBalancer].
func (b *Balancer) ParseSyncAssignment(bytes []byte) (map[string][]int32, error) {
	partitions, a, err := parseSync(bytes)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	rejoin := a.staleFor(b.said)
	if rejoin != "" {
		a.Tasks, partitions = Tasks{}, nil
	} else if a.Awaited && covers(partitions, b.held) {
		rejoin = "tasks are withheld until a former process with this instance ID has given them up, which it never will"
	} else {
		rejoin = a.outdatedFor(b.said)
	}
	if rejoin != "" {
		b.nonce++
	}
	b.mu.Unlock()
	b.received(Received{Assignment: a, Rejoin: rejoin})
	return partitions, nil
}

// parseSync parses the bytes of an assignment. A member that its leader did not plan for
// gets no bytes.
func parseSync(bytes []byte) (map[string][]int32, Assignment, error) {
	if len(bytes) == 0 {
		return nil, Assignment{}, nil
	}
	partitions, err := kgo.ParseConsumerSyncAssignment(bytes)
	if err != nil {
		return nil, Assignment{}, err
	}
	var outer kmsg.ConsumerMemberAssignment
	if err := outer.ReadFrom(bytes); err != nil {
		return nil, Assignment{}, err
	}
	a, err := ParseAssignment(outer.UserData)
	return partitions, a, err
}

// covers reports whether partitions contains all of held. If so, the client has nothing
// to revoke, and so no reason of its own to join again.
func covers(partitions, held map[string][]int32) bool {
	for topic, ps := range held {
		for _, p := range ps {
			if !slices.Contains(partitions[topic], p) {
				return false
			}
		}
	}
	return true
}

// MemberBalancer implements [kgo.GroupBalancer]. It asks for the partition counts of the
// leader's topics too: a client that has just started may not have named all of them when
// it joined.
func (b *Balancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	group, err := kgo.NewConsumerBalancer(b, members)
	if err != nil {
		return nil, nil, fmt.Errorf("assignment: a member of the group joined with metadata that is not a Kafka consumer's: %w", err)
	}
	topics := maps.Clone(group.MemberTopics())
	for _, topic := range b.topology.Topics() {
		topics[topic] = struct{}{}
	}
	return group, topics, nil
}

// Balance implements [kgo.ConsumerBalancerBalance]. It plans for the group, withholds
// tasks that are not free yet, and encodes the assignment of each member.
func (b *Balancer) Balance(group *kgo.ConsumerBalancer, counts map[string]int32) kgo.IntoSyncAssignment {
	t, missing := b.topology.WithPartitions(counts)
	answers := map[string]Assignment{}
	var members []Member
	held := claims{}
	group.EachMember(func(m *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		for _, owned := range meta.OwnedPartitions {
			for _, p := range owned.Partitions {
				held.add(m.MemberID, meta.Generation, TopicPartition{Topic: owned.Topic, Partition: p})
			}
		}
		s, err := ParseSubscription(meta.UserData)
		answers[m.MemberID] = t.answer(meta.UserData, s, err)
		members = append(members, memberOf(m, s))
	})
	if len(missing) > 0 {
		return refuseAll(answers, missing)
	}
	owned := held.owned(t)
	for i := range members {
		members[i].Owned = owned[members[i].ID]
	}
	plan, awaited := held.withhold(t, Assign(t, members))
	sync := syncPlan{}
	for id, a := range answers {
		a.Tasks, a.Awaited = plan[id], awaited[id]
		sync[id] = encodeSync(t, a)
	}
	return sync
}

func memberOf(m *kmsg.JoinGroupResponseMember, s Subscription) Member {
	member := Member{
		ID: m.MemberID, ProcessID: s.ProcessID, Fingerprint: s.Fingerprint, Endpoint: s.Endpoint, Capacity: s.Capacity,
		Nonce: s.Nonce, Lags: s.Lags,
	}
	if m.InstanceID != nil {
		member.InstanceID = *m.InstanceID
	}
	return member
}

// refuseAll gives no member a task. If a part of the topology ran without its input, its
// results would be wrong, and nobody would notice.
func refuseAll(answers map[string]Assignment, missing []string) syncPlan {
	sync := syncPlan{}
	for id, a := range answers {
		if a.Code == Assigned {
			a.Code = MissingTopics
			a.Message = fmt.Sprintf("topics that the topology reads do not exist or have no partitions: %s; no process has tasks until they exist",
				strings.Join(missing, ", "))
		}
		sync[id] = encodeSync(Topology{}, a)
	}
	return sync
}

// encodeSync encodes one member's assignment. It contains the partitions of the tasks in
// the form of every consumer, which other tools display, and the assignment as user data.
func encodeSync(t Topology, a Assignment) []byte {
	partitions := map[string][]int32{}
	for _, task := range a.Tasks.Active {
		for _, p := range t.Partitions(task) {
			partitions[p.Topic] = append(partitions[p.Topic], p.Partition)
		}
	}
	var outer kmsg.ConsumerMemberAssignment
	outer.Version = 1
	for _, name := range slices.Sorted(maps.Keys(partitions)) {
		topic := kmsg.NewConsumerMemberAssignmentTopic()
		topic.Topic, topic.Partitions = name, partitions[name]
		slices.Sort(topic.Partitions)
		outer.Topics = append(outer.Topics, topic)
	}
	outer.UserData = a.Append(nil)
	return outer.AppendTo(nil)
}

// syncPlan holds the encoded assignment of each member.
type syncPlan map[string][]byte

// IntoSyncAssignment implements [kgo.IntoSyncAssignment].
func (p syncPlan) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment {
	var out []kmsg.SyncGroupRequestGroupAssignment
	for _, id := range slices.Sorted(maps.Keys(p)) {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = id, p[id]
		out = append(out, a)
	}
	return out
}
