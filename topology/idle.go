package topology

import (
	"fmt"
	"time"
)

// IdleAfter lets the windows of an aggregation close while its inputs are idle. Without
// it, stream time advances only with records, and the last windows of a quiet topic stay
// open until its next record.
//
//	idle := topology.IdleAfter(30*time.Second)
//	perMinute := byUser.Window(minutes).Count("per-minute", idle).Final()
//
// When the inputs have been idle for d, the stream time of the aggregation goes on from
// where the last record has left it, as fast as the wall clock. Example: the last record
// has the timestamp 12:00:50, and its window ends at 12:01:00. With a grace of 5 seconds
// and d of 10 seconds, the window is closed when the inputs have been idle for 15
// seconds. With d of 30 seconds, it is closed when they have been idle for 30 seconds.
//
// An input is idle while the application knows that it has processed all its records:
//
//   - Kafka confirms that about once a second, for each partition. Windows therefore
//     close up to a second later than computed. Only confirmed time counts.
//   - A new record ends the idle time. So does one whose transaction is still open, one
//     that is not fetched yet because the memory for records is used up, and one that is
//     only filtered out in front of the aggregation.
//   - Updates that an operator of the task holds back until the commit must have been
//     sent. A record that a punctuator or a commit sends to the aggregation while its
//     inputs are idle begins the time anew.
//   - If Kafka cannot be reached, and after a restart, a rebalance, a restore or an
//     abort, the idle time begins again at 0.
//   - The inputs of an aggregation are the partitions that feed it in its own task. All
//     of them must be idle. Behind a repartition topic, only that topic counts. Choose d
//     longer than the tasks in front of it may stand still, for example during a rolling
//     restart: they may still send records of windows that are closed by then.
//
// Stream time goes on only until the last window that has a row is closed. It is the same
// stream time as that of records: it decides which later records are late (they are
// dropped, and counted as dropped), it is committed together with the results, and it
// survives restarts. Rows keep their own timestamps, and have no headers of a record.
//
// The result then depends on the wall clock: if the same input is processed again, other
// records may be late. The table must have [WindowedTable.Final], or must be suppressed
// with [UntilClosed]; the updates of other tables do not wait for the end of a window. d
// must be positive and a whole number of milliseconds.
func IdleAfter(d time.Duration) WindowedTableOption {
	return windowedTableOption(func(c *tableOptions) { c.idleAfter, c.idle = d, true })
}

// closesWhenIdle applies IdleAfter to an aggregation.
func (b *Builder) closesWhenIdle(n *node, o tableOptions) {
	switch {
	case !o.idle:
		return
	case o.idleAfter <= 0:
		b.problem("%v: IdleAfter(%v) must be positive", n, o.idleAfter)
	case o.idleAfter%time.Millisecond != 0:
		b.problem("%v: IdleAfter(%v) must be a whole number of milliseconds", n, o.idleAfter)
	}
	n.idleAfter = o.idleAfter
}

// checkIdle reports aggregations with IdleAfter whose updates wait for nothing.
func (b *Builder) checkIdle() (problems []error) {
	for _, n := range b.nodes {
		if n.idleAfter != 0 && !n.one {
			problems = append(problems, fmt.Errorf("topology: %v: IdleAfter closes windows, but the table sends its updates as they come: add Final, or Suppress with UntilClosed, or remove IdleAfter", n))
		}
	}
	return problems
}
