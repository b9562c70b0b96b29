package topics

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// Spec describes an internal topic that the application needs.
type Spec struct {
	Name              string
	Partitions        int32
	OrMore            bool  // an existing topic may have more partitions
	ReplicationFactor int16 // -1 is the broker's default
	Kind              Kind
	// Retention is that of the store, of ChangelogWindowed and ChangelogVersioned.
	Retention time.Duration
	// The user's settings; they replace ours, and are not judged.
	Configs map[string]string
}

// configs returns the settings with which the topic is created.
func (s Spec) configs() map[string]string {
	c := map[string]string{cleanupPolicy: kinds[s.Kind].policy}
	for _, set := range settings {
		if set.scope.has(s.Kind) && !set.legacy {
			c[set.name] = set.value
		}
	}
	if s.Kind == ChangelogVersioned {
		c[compactionLagMs] = s.compactionLag()
	}
	maps.Copy(c, s.Configs)
	return c
}

// compactionLag returns for how long, in ms, the broker must keep all versions: for the
// retention of the store and a day, as in Kafka Streams.
func (s Spec) compactionLag() string {
	const day = 24 * time.Hour
	if s.Retention > math.MaxInt64-day {
		return maxLong
	}
	return strconv.FormatInt((s.Retention + day).Milliseconds(), 10)
}

// judgeLag judges the compaction lag of a versioned changelog. It must cover the
// retention; the additional day is for late versions.
func (s Spec) judgeLag(all map[string]string) judgement {
	found, known := all[compactionLagMs]
	if s.Kind != ChangelogVersioned || !known || atLeast(s.Retention.Milliseconds())(found, all) {
		return judgement{}
	}
	return judgement{Finding{Setting: compactionLagMs, Found: found, Want: s.compactionLag(), Reason: compactionLagReason}, false}
}

// Finding is a setting of an internal topic that differs from what the application needs.
type Finding struct {
	Setting string
	Found   string
	Want    string
	Reason  string // why it matters
	LeftOut bool   // the brokers do not accept the setting; Found is empty
}

func (f Finding) String() string {
	if f.LeftOut {
		return f.Setting + "=" + f.Want + " was left out: " + f.Reason
	}
	return f.Setting + " is " + strconv.Quote(f.Found) + ", expected " + strconv.Quote(f.Want) + ": " + f.Reason
}

// judge compares the configuration of an existing topic with the spec. It returns the
// settings for which the topic is refused, and those that cause a warning. Settings that
// the broker does not report are not judged.
func (s Spec) judge(found map[string]string) (refused, warned []Finding) {
	for _, j := range slices.Concat([]judgement{s.judgePolicy(found), s.judgeLag(found)}, s.judgeSettings(found)) {
		_, chosen := s.Configs[j.Setting]
		switch {
		case j.Setting == "" || chosen:
		case j.refused:
			refused = append(refused, j.Finding)
		default:
			warned = append(warned, j.Finding)
		}
	}
	return refused, warned
}

// judgement is a Finding, and whether the topic is refused for it. The zero value means
// that the setting fits.
type judgement struct {
	Finding
	refused bool
}

func (s Spec) judgePolicy(all map[string]string) judgement {
	found, known := all[cleanupPolicy]
	kind := kinds[s.Kind]
	if !known || samePolicy(found, kind.policy) {
		return judgement{}
	}
	// Another policy loses no data of a windowed changelog. It only keeps records that
	// are no longer needed.
	return judgement{Finding{Setting: cleanupPolicy, Found: found, Want: kind.policy, Reason: kind.reason}, s.Kind != ChangelogWindowed}
}

func (s Spec) judgeSettings(all map[string]string) []judgement {
	var judged []judgement
	for _, set := range settings {
		found, known := all[set.name]
		if !known || !set.scope.has(s.Kind) || set.fits(found, all) || !s.applies(set, all) {
			continue
		}
		judged = append(judged, judgement{Finding{Setting: set.name, Found: found, Want: set.value, Reason: set.reason}, set.refused || s.losesSoon(set.name, found)})
	}
	return judged
}

// applies reports whether a setting has an effect on a topic. For example, a topic
// without deletion keeps its records whatever its retention is.
func (s Spec) applies(set setting, all map[string]string) bool {
	policy, known := all[cleanupPolicy]
	return set.scope != onDeleting || !known || hasPolicy(policy, "delete")
}

// losesSoon reports whether a topic would lose records in normal operation, and not only
// with old event times or after a pause.
func (s Spec) losesSoon(setting, found string) bool {
	if setting != retentionMs {
		return false
	}
	n, err := strconv.ParseInt(found, 10, 64)
	return s.Kind == Repartition || err == nil && n >= 0 && n < s.Retention.Milliseconds()
}
