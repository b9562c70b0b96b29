package txn

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrNoIdentity is returned by a commit whose Identity is empty. Such a commit is never
// sent, because brokers accept it from any client.
var ErrNoIdentity = errors.New("the group member has no identity")

// ErrDead is returned by a Producer after an error with the outcome Unknown or Fatal.
var ErrDead = errors.New("the producer is dead and must be replaced")

// Outcome is the fate of a transaction.
type Outcome uint8

const (
	Committed Outcome = iota
	Aborted           // nothing is visible
	Fenced            // nothing is visible; ownership of the partitions is lost
	// committed or not: the tasks are treated as crashed; the producer is dead
	Unknown
	Fatal   // nothing is visible; the producer is dead
	Crashed // a hook ended the commit and nothing was cleaned up
)

func (o Outcome) String() string {
	switch o {
	case Committed:
		return "committed"
	case Aborted:
		return "aborted"
	case Fenced:
		return "fenced"
	case Unknown:
		return "outcome unknown"
	case Fatal:
		return "producer dead"
	case Crashed:
		return "crashed"
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// Error is every error of a commit, a flush or an abort.
type Error struct {
	Outcome Outcome
	Doing   string // the step that failed: "flushing", "committing offsets", ...
	Err     error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v (%s)", e.Doing, e.Err, e.Outcome) }

func (e *Error) Unwrap() error { return e.Err }

// Permanent reports whether the same input will fail with the same error again. If so, a
// replay alone does not help.
//
// FENCED_INSTANCE_ID is not permanent here. It says that the member has a successor. The
// successor may be this very process: after a session that expired unnoticed, the client
// joins again with another member ID. If it is another process, the membership learns
// that from the group.
func (e *Error) Permanent() bool {
	var refused *RefusedError
	if errors.As(e.Err, &refused) {
		return true
	}
	for _, k := range []*kerr.Error{
		kerr.OffsetMetadataTooLarge, kerr.InvalidCommitOffsetSize, kerr.GroupAuthorizationFailed, kerr.TopicAuthorizationFailed,
		kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed, kerr.InvalidGroupID,
		kerr.InvalidTransactionTimeout, kerr.UnsupportedVersion, kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism,
		kerr.IllegalSaslState, kerr.SecurityDisabled,
	} {
		if errors.Is(e.Err, k) {
			return true
		}
	}
	return false
}

// OutcomeOf returns Committed for nil, the outcome of an *Error in err's chain, and
// Unknown for any other error.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return Committed
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Outcome
	}
	return Unknown
}

// RefusedError says that the broker, or the client on its behalf, refused a record
// permanently. Unless a Judge was called, the record is not known: it is one of those
// that were sent to the partition (see sieve).
type RefusedError struct {
	Topic     string
	Partition int32
	Err       error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("record for topic %q partition %d refused: %v", e.Topic, e.Partition, e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// errPartition is the error of a record whose explicit partition does not exist as far as
// the client knows. It is not a refusal: the topic may have grown since the client last
// read its metadata. The client reads it again before the replay.
var errPartition = errors.New("the topic has no such partition")

// isRefusal reports whether err is about a record or its topic, and not about the
// connection, the transaction or the producer.
func isRefusal(err error) bool {
	return isOneOf(err, kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp, kerr.PolicyViolation,
		kerr.UnsupportedForMessageFormat, kerr.UnsupportedCompressionType) || IsAboutTopic(err) || isDoubtful(err)
}

// Refuses reports whether the broker, or the client on its behalf, has refused a record
// with err: it would refuse the record again.
func Refuses(err error) bool { return isRefusal(err) }

// IsAboutTopic reports whether err applies to every record of the topic: the topic is
// missing, or writing to it is not allowed.
func IsAboutTopic(err error) bool {
	return isOneOf(err, kerr.InvalidTopicException, kerr.UnknownTopicOrPartition, kerr.TopicAuthorizationFailed)
}

// isDoubtful reports whether err is a refusal that may have another cause than the
// record.
//
//   - Old brokers answer CORRUPT_MESSAGE to a record without a key for a compacted topic.
//     Any broker answers it to bytes that were damaged in transit.
//   - UNKNOWN_SERVER_ERROR and INVALID_REQUEST stand for an exception of a broker, or of
//     one of its plug-ins, that has no error code.
func isDoubtful(err error) bool {
	return isOneOf(err, kerr.CorruptMessage, kerr.UnknownServerError, kerr.InvalidRequest)
}

func isOneOf(err error, codes ...*kerr.Error) bool {
	return slices.ContainsFunc(codes, func(code *kerr.Error) bool { return errors.Is(err, code) })
}

// isFencing reports whether the group has refused the member: the member no longer owns
// the partitions that it wants to commit.
func isFencing(err error) bool {
	for _, k := range []error{
		kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.FencedInstanceID, kerr.StaleMemberEpoch, kerr.FencedMemberEpoch,
		kerr.GroupIDNotFound, ErrNoIdentity,
	} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

// Fences reports whether the group has refused the member with err: the member may no
// longer own the partitions that it wanted to commit.
func Fences(err error) bool { return err != nil && isFencing(err) }

// isRetriable reports whether the same offset request may be sent again. If err is not
// the broker's answer but, for example, a broken connection, it is retriable too:
// repeating an offset request does no harm.
func isRetriable(err error) bool {
	if errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if !isAnswer(err) {
		return true
	}
	return kerr.IsRetriable(err) || errors.Is(err, kerr.ConcurrentTransactions) || errors.Is(err, kerr.RebalanceInProgress)
}

// isAnswer reports whether err is an error code that a broker sent.
func isAnswer(err error) bool {
	var k *kerr.Error
	return errors.As(err, &k)
}

// killsProducer reports whether err makes the client useless. There are two cases.
//
//   - kgo refuses a topic that was deleted and created again until the topic is purged
//     from the client.
//   - A producer that no longer owns its ID or epoch must not even abort. With
//     transaction.version 2, a broker may take its EndTxn for a repeated one, and answer
//     with the epoch of the producer that replaced it. Two producers would then continue
//     in one transaction. The broker has already aborted the old transaction, or does so
//     at its timeout or when the ID is initialised.
func killsProducer(err error) bool {
	for _, k := range []error{
		kgo.ErrClientClosed, kerr.UnknownTopicID, kerr.ProducerFenced, kerr.InvalidProducerEpoch,
		kerr.InvalidProducerIDMapping, kerr.UnknownProducerID, kerr.InvalidTxnState,
	} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}
