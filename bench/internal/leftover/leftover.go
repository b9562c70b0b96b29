// Package leftover removes what a run of a benchmark leaves on the cluster.
package leftover

import (
	"context"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// RemoveTopics deletes the topics whose names begin with that of an application and a
// hyphen.
func RemoveTopics(ctx context.Context, admin *kadm.Client, application string) error {
	all, err := admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	var topics []string
	for _, topic := range all.Names() {
		if strings.HasPrefix(topic, application+"-") {
			topics = append(topics, topic)
		}
	}
	if len(topics) == 0 {
		return nil
	}
	responses, err := admin.DeleteTopics(ctx, topics...)
	return errors.Join(err, responses.Error())
}
