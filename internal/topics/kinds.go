package topics

import (
	"fmt"
	"slices"
	"strings"
)

// Kind of an internal topic.
type Kind uint8

const (
	// ChangelogCompact is the changelog of a key-value store: the broker keeps the last
	// value of each key.
	ChangelogCompact Kind = iota
	// ChangelogWindowed is the changelog of a window store. The broker keeps the last
	// value of each key. The application deletes the records of expired windows itself,
	// see [Purger].
	ChangelogWindowed
	// ChangelogVersioned is the changelog of a versioned store: the broker keeps the last
	// version of each key, and all versions for the retention and a day at least.
	ChangelogVersioned
	// Repartition is a repartition topic: the application deletes the records that it
	// has processed, see [Purger].
	Repartition
	// Registry is the topic in which the application records what its stores mean.
	Registry
)

// kinds has one line for each kind. The settings of a kind follow from its cleanup
// policy, see settings.
var kinds = [...]struct {
	name   string
	policy string // cleanup.policy
	reason string // the reason for the policy
}{
	ChangelogCompact:   {"changelog of a key-value store", "compact", "deletion would remove rows that are not written again"},
	ChangelogWindowed:  {"changelog of a window store", "compact,delete", "brokers refuse to delete the records of expired windows with compact alone"},
	ChangelogVersioned: {"changelog of a versioned store", "compact", "deletion would remove versions that are not written again"},
	Repartition:        {"repartition topic", "delete", "compaction would remove records before they are processed"},
	Registry:           {"registry of the stores", "compact", "deletion would remove the descriptions of the stores, and a start with an empty state directory would misread their rows"},
}

func (k Kind) String() string {
	if int(k) >= len(kinds) {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return kinds[k].name
}

func (k Kind) compacts() bool { return hasPolicy(kinds[k].policy, "compact") }
func (k Kind) deletes() bool  { return hasPolicy(kinds[k].policy, "delete") }

// policies returns the parts of a cleanup.policy, sorted.
func policies(policy string) []string {
	var parts []string
	for p := range strings.SplitSeq(policy, ",") {
		if p = strings.TrimSpace(p); p != "" {
			parts = append(parts, p)
		}
	}
	slices.Sort(parts)
	return parts
}

func hasPolicy(policy, want string) bool { return slices.Contains(policies(policy), want) }

func samePolicy(a, b string) bool { return slices.Equal(policies(a), policies(b)) }
