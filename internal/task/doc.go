// Package task is one task of a topology as a deterministic state machine: queues of
// input records, the choice of the next one by timestamp, stream time, punctuation,
// stores, the error policy, and a commit in two steps.
//
// It has no goroutine, no clock, no socket and no Kafka client. A shell gives it records
// ([Task.Add], [Task.SetEnd]) and the time ([Task.Process], [Task.Punctuate]), sends its
// output to Kafka (the [Outbox]), and carries out its commits. There are two shells: the
// runtime and the test driver.
//
// # The life of a task
//
//	t, err := task.New(cfg)                  // opens stores, makes nodes, calls Init
//	t.Add(topic, partition, records, bytes)  // pass records to the task
//	n, err := t.Process(now, max)            // outputs go to the Outbox
//	n, err = t.Punctuate(now)                // wall-clock schedules
//	n, err = t.PassIdle(now)                 // what happens while inputs are idle
//	c, err := t.Begin()                      // flush; commit c.Offsets with the outputs
//	err = t.Finish(positions)                // after the commit: apply it
//	err = t.Close()
//
// An abort is Close and New on the same database. Nothing that a task holds in memory
// survives, except what the shell keeps for it in a [Memory].
//
// # Errors
//
// Every error that a method returns ends the task. Every later call returns the same
// error, and the shell must not commit what the task has sent. A [*ReplayError] asks for
// an abort and a replay from the last commit. Any other error ends the application.
package task
