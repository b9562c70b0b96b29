package graph

import (
	"errors"
	"fmt"
)

// CheckDeadLetters returns an error if the application must not write its dead letters to
// a topic: because it reads the topic, so that the letters would come back, or because
// the topic is one of its internal topics. "" stands for no topic.
func (g *Graph) CheckDeadLetters(applicationID, topic string) error {
	if topic == "" {
		return nil
	}
	var problems []error
	for _, p := range g.Patterns() {
		if p.Matches(topic) {
			problems = append(problems, fmt.Errorf("source %s: %v matches the topic for dead letters, %s, which would be processed again: change the pattern, or use another topic", p.Name, p, topic))
		}
	}
	for _, n := range g.Nodes {
		for _, t := range n.Topics {
			if n.Pattern == nil && t == (Topic{Name: topic}) {
				problems = append(problems, fmt.Errorf("source %s reads the topic for dead letters, %s, so that they would be processed again: use another topic", n.Name, topic))
			}
		}
	}
	for _, global := range g.Globals {
		if global.Topic.Name == topic {
			problems = append(problems, fmt.Errorf("the global store %s reads the topic for dead letters, %s, so that they would become rows: use another topic", global.Store.Name, topic))
		}
	}
	if what, internal := g.internalTopics(applicationID)[topic]; internal {
		problems = append(problems, fmt.Errorf("the topic for dead letters, %s, is %s of application %s itself: use another topic", topic, what, applicationID))
	}
	return errors.Join(problems...)
}
