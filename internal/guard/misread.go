package guard

import (
	"context"
	"fmt"

	"github.com/millrace-streams/millrace/internal/registry"
)

// misreadings returns the repartition topics with records that are not processed yet, and
// that the topology would read in another format than the one in which they were written.
func (g *Guard) misreadings(ctx context.Context, view registry.View) (misreadings []registry.Misreading, err error) {
	_, repartitions := g.now()
	for _, m := range view.Misreadings(repartitions) {
		waits, err := g.cfg.Inputs.Waits(ctx, m.Topic)
		if err != nil {
			return nil, fmt.Errorf("check whether repartition topic %s has records that are not processed: %w", m.Topic, err)
		}
		if waits {
			misreadings = append(misreadings, m)
		}
	}
	return misreadings, nil
}

func misread(m registry.Misreading) error {
	return fmt.Errorf("repartition topic %s has records of %s that are not processed yet, and the topology reads records of %s: they would be misread", m.Topic, m.Was, m.Is)
}
