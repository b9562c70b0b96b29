// Package transient distinguishes errors that may go away by themselves from permanent
// ones.
//
// The rule is an allow-list: an error that is not on the list is permanent. If a
// permanent error were treated as transient, the application would hang in silence. If a
// transient error is treated as permanent, the application ends with a message that names
// the cause.
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

// Is reports whether the same request may succeed later without any intervention. An
// error that joins several is transient if all of them are.
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
// The answers listed here are added:
func answer(e *kerr.Error) bool {
	switch e {
	case kerr.ConcurrentTransactions, // the transaction before is still being ended
		kerr.OperationNotAttempted,                   // the client has sent nothing
		kerr.RebalanceInProgress,                     // the group's members are joining
		kerr.IllegalGeneration, kerr.UnknownMemberID, // the client joins again
		// The client joins with what the answer says.
		kerr.MemberIDRequired, kerr.StaleMemberEpoch,
		// The client joins again; another member may leave.
		kerr.FencedMemberEpoch, kerr.GroupMaxSizeReached:
		return true
	// Retriable in the table, but nothing here asks for elections.
	case kerr.ElectionNotNeeded:
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
// client permanently.
var refusals = []uint8{
	// Handshake failure; bad, unsupported, revoked, expired, unknown certificate.
	40, 42, 43, 44, 45, 46,
	48, 49, // unknown authority, access denied
	70, 71, // protocol version, insufficient security
	116, // certificate required
}

// connection reports trouble with a connection, at this node of the error's tree.
func connection(err error) bool {
	switch err {
	// The broker, or something before it, has closed the connection.
	case io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		context.DeadlineExceeded, // no answer in time: the deadline is the try's own
		// The caller ends; loops look at their own context for that.
		context.Canceled:
		return true
	}
	switch err.(type) {
	// Of a file: errors of connections carry theirs inside a net.OpError.
	case syscall.Errno:
		return false
	// Dials, reads, writes and name look-ups; package dialer makes all errors of a user's
	// dialer such ones.
	case net.Error:
		return true
	}
	if wraps(err) {
		return false // its parts are judged
	}
	// These are: a connection that failed during a request; a controller or coordinator
	// that is not known yet; and a broker that has left the cluster, for which kgo has
	// neither a name nor a test.
	return kgo.IsRetryableBrokerErr(err) || err.Error() == "unknown broker"
}

func wraps(err error) bool {
	switch err.(type) {
	case interface{ Unwrap() error }, interface{ Unwrap() []error }:
		return true
	}
	return false
}
