// Package foreign has the messages and the row layout of a join of two tables on a
// foreign key. All formats are those of Kafka Streams.
//
// The rows of the left table have a foreign key, which is a key of the right table. The
// two tables are partitioned by different keys, so the join sends messages:
//
//  1. If a row of the left table changes, its task sends a [Subscription] to the
//     partition of the foreign key. The subscription topic is partitioned as the right
//     table.
//  2. The task there keeps the subscription in a store under its [AppendKey], and answers
//     with a [Response]. If a row of the right table changes, it sends a Response to each
//     subscriber of the row. The response topic is partitioned as the left table: a
//     subscription says which partition its row is in.
//  3. The left task joins the Response with its row.
//
// Both messages have the [Hash] of the left row. If the row has changed since, the hash
// of a Response differs from the row's, and the Response is stale. So is each Response to
// a row that is encoded differently than when it subscribed.
package foreign
