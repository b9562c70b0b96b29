// Package health knows whether the cluster and the group are within reach, and since when
// they are not.
//
// Watch asks each broker, and the group's coordinator, for a sign of life every second,
// with a client of its own: whether the other clients happen to wait for an answer at the
// moment says nothing, and on a network that drops packets they wait for long. A broker
// is out of reach if two questions in a row, and all questions for three seconds, had no
// answer. The cluster is out of reach if all brokers are.
package health
