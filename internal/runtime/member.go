package runtime

import (
	"context"
	"errors"
	"sync"

	"github.com/millrace-streams/millrace/internal/membership"
	"github.com/millrace-streams/millrace/internal/txn"
)

// member is the identity of this process in its group. It is used to commit offsets.
type member struct {
	mu    sync.Mutex
	group membership.Membership // nil until the process has joined
}

func (m *member) joined(g membership.Membership) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.group = g
}

func (m *member) membership() membership.Membership {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.group
}

// identity returns the identity for committing offsets.
func (m *member) identity() txn.Identity {
	if g := m.membership(); g != nil {
		return g.Identity()
	}
	return txn.Identity{Generation: -1}
}

// refresh returns an identity that is newer than stale.
func (m *member) refresh(ctx context.Context, stale txn.Identity) (txn.Identity, error) {
	if g := m.membership(); g != nil {
		return g.Refresh(ctx, stale)
	}
	return txn.Identity{}, errors.New("this process is not a member of the group")
}
