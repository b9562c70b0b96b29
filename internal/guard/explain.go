package guard

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/registry"
)

// explain returns what does not fit, and what the user can do about it.
func explain(misfits []registry.Misfit, appearing []appearance, misreadings []registry.Misreading) (problems []error, advice string) {
	var changed bool
	var gone, empty, lacking, choices []string
	for _, m := range misfits {
		if m.Err != nil {
			problems = append(problems, m.Err)
			changed = true
		}
		if m.Gone {
			gone = append(gone, m.Store)
		}
	}
	if changed {
		choices = append(choices, "Leave these stores as they were; or, if only the values of a store have changed, convert its rows with topology.Migrate or state.Migrate; or give a store that has changed a new name, name the old one in Config.RemoveStores, and the new one in Config.StartEmpty")
	}
	if len(gone) > 0 {
		choices = append(choices, fmt.Sprintf("to give up the rows of the stores that are gone, set Config.RemoveStores to %s", strings.Join(gone, ", ")))
	}
	for _, r := range recounted(misfits) {
		problems = append(problems, r.problem())
		choices = append(choices, r.choice())
	}
	for _, a := range appearing {
		problems = append(problems, a.problem())
		if a.gained {
			lacking = append(lacking, a.store)
		} else {
			empty = append(empty, a.store)
		}
	}
	if len(lacking) > 0 {
		choices = append(choices, fmt.Sprintf("to let stores go on without the earlier records of their new inputs, set Config.StartEmpty to %s", strings.Join(lacking, ", ")))
	}
	if len(empty) > 0 {
		choices = append(choices, fmt.Sprintf("to start new stores without the earlier records, set Config.StartEmpty to %s", strings.Join(empty, ", ")))
	}
	for _, m := range misreadings {
		problems = append(problems, misread(m))
	}
	if len(misreadings) > 0 {
		choices = append(choices, "to process the records of the repartition topics, run the version of the program from before, with nothing written to the application's inputs, until it has no lag; or, if both formats have the same bytes, give both serdes the same FormatName")
	}
	return problems, strings.Join(choices, "; ")
}

// recount is a topic with another number of partitions than when some stores were filled.
type recount struct {
	registry.Recount
	stores []string
}

// recounted returns the topics of the misfits, in order of name.
func recounted(misfits []registry.Misfit) (recounts []recount) {
	for _, m := range misfits {
		for _, r := range m.Recounts {
			i := slices.IndexFunc(recounts, func(other recount) bool { return other.Recount == r })
			if i < 0 {
				i = len(recounts)
				recounts = append(recounts, recount{Recount: r})
			}
			recounts[i].stores = append(recounts[i].stores, m.Store)
		}
	}
	slices.SortStableFunc(recounts, func(a, b recount) int { return strings.Compare(a.Topic, b.Topic) })
	return recounts
}

func (r recount) problem() error {
	stores := "store " + r.stores[0] + " was"
	if len(r.stores) > 1 {
		stores = "stores " + strings.Join(r.stores, ", ") + " were"
	}
	return fmt.Errorf("topic %s had %d partitions when %s filled, and has %d now: keys would be in other partitions than their rows",
		r.Topic, r.Was, stores, r.Now)
}

// choice returns how to get the former number of partitions back.
func (r recount) choice() string {
	if r.Internal {
		return fmt.Sprintf("Keep the topic %s at %d partitions: pass topology.Partitions(%d) to the GroupBy or Repartition of that name", r.Topic, r.Was, r.Was)
	}
	return fmt.Sprintf("Give topic %s %d partitions again (Kafka cannot remove partitions: delete the topic and create it with %d)", r.Topic, r.Was, r.Was)
}
