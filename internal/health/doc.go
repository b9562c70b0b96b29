// Package health knows whether the cluster and the group are within reach, and since when
// they are not.
//
// Watch asks each broker, and the group's coordinator, for a sign of life every second,
// with its own client. Other clients may not be waiting for an answer at the moment, and
// on a network that drops packets they wait for a long time.
//
// A broker is out of reach if at least two questions in a row, and all questions of three
// seconds, had no answer. The cluster is out of reach if all brokers are.
package health
