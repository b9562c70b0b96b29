package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/registrytopic"
	"github.com/millrace-streams/millrace/internal/store"
)

// rivals returns the applications to which an internal topic could also belong. Example:
// a-b-c-changelog belongs to store c of application a-b or to store b-c of application a.
func rivals(application string, topics []string) []string {
	var out []string
	for _, topic := range topics {
		rest, ok := strings.CutSuffix(topic, store.ChangelogSuffix)
		for _, suffix := range []string{graph.RepartitionSuffix, graph.MessageSuffix} {
			if !ok {
				rest, ok = strings.CutSuffix(topic, suffix)
			}
		}
		for i := 0; ok && i < len(rest)-1; i++ {
			if rival := rest[:i]; i > 0 && rest[i] == '-' && rival != application && !slices.Contains(out, rival) {
				out = append(out, rival)
			}
		}
	}
	return out
}

// RivalError says that an internal topic already belongs to another application.
type RivalError struct {
	Topic       string
	Application string // the owner
	What        string // the store or operator that uses it there
}

func (e *RivalError) Error() string {
	return fmt.Sprintf("topic %s already belongs to application %s, which uses it for its %s: the two applications would overwrite each other's records. "+
		"Give this application, or its store or operator, another name; if application %s is gone, delete its topic %s",
		e.Topic, e.Application, e.What, e.Application, graph.RegistryTopic(e.Application))
}

// Rival returns a *RivalError if another application has recorded one of the topics as
// its own. exist returns the IDs of the topics that exist and that this application may
// read. The registry of an application that it may not read is skipped.
func (r *Registry) Rival(ctx context.Context, topics []string, exist func(context.Context, []string) (map[string]TopicID, error)) error {
	applications := rivals(r.cfg.Application, topics)
	if len(applications) == 0 {
		return nil
	}
	names := make([]string, len(applications))
	for i, a := range applications {
		names[i] = graph.RegistryTopic(a)
	}
	ids, err := exist(ctx, names)
	if err != nil {
		return err
	}
	for i, name := range names {
		id, found := ids[name]
		if !found {
			continue
		}
		view, _, err := read(ctx, r.cfg.Restorer, name, View{TopicID: id}, registrytopic.NewReader(name, id))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			r.cfg.Logger.Warn("could not read the registry of another application, so it is unknown whether it uses the same internal topics",
				"other", applications[i], "topic", name, "error", err)
			continue
		}
		if err := view.claims(topics); err != nil {
			return err
		}
	}
	return nil
}

// claims returns a *RivalError if the view, of another application, contains one of the
// topics.
func (v View) claims(topics []string) error {
	for _, s := range v.Stores() {
		if s.Removed.IsZero() && slices.Contains(topics, s.Changelog) {
			return &RivalError{s.Changelog, s.Application, "store " + s.Store}
		}
	}
	for topic, p := range v.repartitions {
		if slices.Contains(topics, topic) {
			return &RivalError{topic, p.Application, "repartition topic"}
		}
	}
	return nil
}
