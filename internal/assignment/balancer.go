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

// ProtocolName is the name of the protocol in the group. A member that speaks none of the group's protocols is refused by the coordinator, so
// a plain consumer cannot join a group of this library by mistake.
const ProtocolName = "millrace"

// Balancer is the process's part in the classic group protocol: what it says when it joins, how it plans as the leader, what it does with the
// assignment. Give it to one client as its only balancer, with all topics of the topology to consume. The client's goroutine for the group calls
// it; the other methods may be called from anywhere.
type Balancer struct {
	topology     Topology
	subscription func() Subscription
	received     func(Received)

	mu    sync.Mutex
	nonce uint64
	said  Subscription       // when it last joined
	held  map[string][]int32 // when it last joined
}

// Received is an assignment as the process received it.
type Received struct {
	Assignment
	// Rejoin is empty, or says, in words for a log, why the process has to call (*kgo.Client).ForceRebalance: its assignment is not, or not
	// yet, what it should have, and nobody else will see to it. The balancer has already changed the nonce, so that the coordinator listens.
	Rejoin string
}

var _ kgo.GroupBalancer = (*Balancer)(nil)

// NewBalancer makes a balancer. The partition counts of t are not used: the leader takes those that the cluster has when it plans.
//
// subscription is called each time the process joins; Fingerprint and Nonce of what it returns are set by the balancer.
//
// received is called with each assignment, in the client's sequence before OnPartitionsRevoked and OnPartitionsAssigned. If the assignment was made
// for another process, it comes without tasks and the client gets no partitions. Neither function may block, nor call
// the client's methods that wait for the group.
func NewBalancer(t Topology, subscription func() Subscription, received func(Received)) (*Balancer, error) {
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("assignment: %w", err)
	}
	return &Balancer{topology: t, subscription: subscription, received: received}, nil
}

// Renew changes the nonce, so that the ForceRebalance that follows is not ignored by the coordinator.
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
	s.Fingerprint, s.Nonce = b.topology.Fingerprint, b.nonce
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
	}
	if rejoin != "" {
		b.nonce++
	}
	b.mu.Unlock()
	b.received(Received{Assignment: a, Rejoin: rejoin})
	return partitions, nil
}

// parseSync takes the bytes apart. No bytes at all are what a member gets that its leader did not think of.
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

// covers says that all of held is in partitions, so the client has nothing to revoke, and therefore no reason of its own to
// join again.
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

// MemberBalancer implements [kgo.GroupBalancer]. It asks for the partition counts of the leader's topics too: a client that has
// just started may not have named all of them when it joined.
func (b *Balancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	group, err := kgo.NewConsumerBalancer(b, members)
	if err != nil {
		return nil, nil, fmt.Errorf("assignment: a member of the group joined with bytes that are not a consumer's: %w", err)
	}
	topics := maps.Clone(group.MemberTopics())
	for _, topic := range b.topology.Topics() {
		topics[topic] = struct{}{}
	}
	return group, topics, nil
}

// Balance implements [kgo.ConsumerBalancerBalance]: it plans for the group, withholds what is not free yet, and addresses the members.
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

// refuseAll gives nobody a task: a part of the topology without its input would give results that are wrong in silence.
func refuseAll(answers map[string]Assignment, missing []string) syncPlan {
	sync := syncPlan{}
	for id, a := range answers {
		if a.Code == Assigned {
			a.Code = MissingTopics
			a.Message = fmt.Sprintf("topics that the topology reads do not exist or have no partitions: %s; no process has tasks until they do",
				strings.Join(missing, ", "))
		}
		sync[id] = encodeSync(Topology{}, a)
	}
	return sync
}

// encodeSync makes the bytes of one member's assignment: the partitions of its tasks as every consumer gets them, which is what other tools
// show, and the assignment as user data.
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

// syncPlan holds each member's bytes.
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
