// Package protocol refuses brokers that are too old for the guarantee of an application.
//
// A request of an older version lacks fields. The client leaves out what does not fit,
// without an error: on Kafka 2.4, an offset commit of a transaction carries no member and
// no generation, so a process that was taken for dead can still commit. Therefore the
// versions are compared before anything is sent that depends on them. [Needs] has the
// requests, the version that each needs, and the reason.
package protocol
