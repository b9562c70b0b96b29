// Package protocol refuses brokers that are too old for the guarantee of an application.
//
// An older version of a request lacks fields. The client omits these fields without an
// error. For example, on Kafka 2.4 an offset commit of a transaction carries no member
// and no generation, so a process that was taken for dead can still commit. Versions are
// therefore compared before anything is sent that depends on them. [Needs] has the
// requests, the version that each needs, and the reason.
package protocol
