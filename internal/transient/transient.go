// Package transient tells errors that may go away by themselves from errors that repeat
// for ever.
//
// The rule is an allow-list: an error that nobody has thought about is permanent. A
// permanent error that is taken for a transient one hangs an application in silence; a
// transient one that is taken for a permanent one ends it with a message that names the
// cause.
package transient

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Is reports whether the same request may succeed later without anybody's help. An error
// that joins several is transient if all of them are.
func Is(err error) bool {
	switch e := err.(type) {
	case nil:
		return false
	case *kerr.Error:
		return answer(e)
	case interface{ Transient() bool }:
		return e.Transient()
	}
	if untrusted(err) {
		return false
	}
	if connection(err) {
		return true
	}
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		return all(e.Unwrap())
	case interface{ Unwrap() error }:
		return Is(e.Unwrap())
	}
	return false
}

func all(errs []error) bool {
	for _, err := range errs {
		if !Is(err) {
			return false
		}
	}
	return len(errs) > 0
}

// answer judges a broker's answer. Kafka's protocol says which answers are worth another
// try: elections, moves, load, quotas, and metadata that lags behind (kerr.IsRetriable).
// Beside those:
func answer(e *kerr.Error) bool {
	switch e {
	case kerr.ConcurrentTransactions, // the transaction before is still being ended
		kerr.OperationNotAttempted,                   // the client has sent nothing
		kerr.RebalanceInProgress,                     // the group's members are joining
		kerr.IllegalGeneration, kerr.UnknownMemberID, // the client joins again
		kerr.MemberIDRequired, kerr.StaleMemberEpoch, // the client joins with what the answer says
		kerr.FencedMemberEpoch, kerr.GroupMaxSizeReached: // the client joins again; another member may leave
		return true
	case kerr.ElectionNotNeeded: // retriable in the table, but nothing here asks for elections
		return false
	}
	return kerr.IsRetriable(e)
}

// untrusted reports that the two ends of a TLS connection refuse each other. Only a
// person can change that.
func untrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	var plaintext tls.RecordHeaderError
	var alert tls.AlertError
	if errors.As(err, &certificate) || errors.As(err, &plaintext) {
		return true
	}
	return errors.As(err, &alert) && slices.Contains(refusals, uint8(alert))
}

// refusals are the TLS alerts (RFC 8446, section 6.2) with which a broker refuses a
// client for good.
var refusals = []uint8{
	40, 42, 43, 44, 45, 46, // handshake failure; bad, unsupported, revoked, expired, unknown certificate
	48, 49, // unknown authority, access denied
	70, 71, // protocol version, insufficient security
	116, // certificate required
}

// connection reports trouble with a connection, at this node of the error's tree.
func connection(err error) bool {
	switch err {
	case io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, // the broker, or something before it, has closed the connection
		context.DeadlineExceeded, // no answer in time: the deadline is the try's own
		context.Canceled:         // the caller ends; loops look at their own context for that
		return true
	}
	switch err.(type) {
	case syscall.Errno: // of a file: errors of connections carry theirs inside a net.OpError
		return false
	case net.Error: // dials, reads, writes and name look-ups; package dialer makes all errors of a user's dialer such ones
		return true
	}
	if wraps(err) {
		return false // its parts are judged
	}
	// A connection that died under a request, a controller or coordinator that is not
	// known yet; and a broker that has left the cluster, for which kgo has neither a name
	// nor a test.
	return kgo.IsRetryableBrokerErr(err) || err.Error() == "unknown broker"
}

func wraps(err error) bool {
	switch err.(type) {
	case interface{ Unwrap() error }, interface{ Unwrap() []error }:
		return true
	}
	return false
}
