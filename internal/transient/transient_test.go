package transient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/transient"
)

// told reports by itself whether it is transient.
type told bool

func (told) Error() string     { return "told" }
func (t told) Transient() bool { return bool(t) }

func TestIs(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}}
	decoding := errors.New("record at offset 7: the key has 3 bytes")
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":                     {nil, false},
		"an error nobody knows":       {decoding, false},
		"one that is wrapped":         {fmt.Errorf("store counts: %w", decoding), false},
		"a full disk":                 {&os.PathError{Op: "write", Path: "/state", Err: syscall.ENOSPC}, false},
		"connection refused":          {refused, true},
		"in a dial":                   {fmt.Errorf("unable to dial: %w", refused), true},
		"name not found yet":          {&net.DNSError{Err: "no such host", Name: "kafka", IsNotFound: true}, true},
		"closed connection":           {fmt.Errorf("asking: %w", io.EOF), true},
		"no answer in time":           {context.DeadlineExceeded, true},
		"election":                    {fmt.Errorf("in: %w", kerr.LeaderNotAvailable), true},
		"open transactions":           {kerr.UnstableOffsetCommit, true},
		"earlier transaction":         {kerr.ConcurrentTransactions, true},
		"not allowed":                 {&kadm.AuthError{Err: kerr.TopicAuthorizationFailed}, false},
		"password":                    {kerr.SaslAuthenticationFailed, false},
		"version":                     {kerr.UnsupportedVersion, false},
		"certificate":                 {fmt.Errorf("unable to dial: %w", &tls.CertificateVerificationError{Err: errors.New("expired")}), false},
		"no client certificate":       {&net.OpError{Op: "remote error", Err: tls.AlertError(116)}, false},
		"a broker that shuts down":    {&net.OpError{Op: "remote error", Err: tls.AlertError(0)}, true},
		"several brokers":             {&kadm.ShardErrors{Errs: []kadm.ShardError{{Err: refused}, {Err: io.EOF}}}, true},
		"one of them forbids":         {&kadm.ShardErrors{Errs: []kadm.ShardError{{Err: refused}, {Err: kerr.ClusterAuthorizationFailed}}}, false},
		"a deadline and its cause":    {errors.Join(context.DeadlineExceeded, kerr.NotController), true},
		"a deadline over a hard one":  {errors.Join(context.DeadlineExceeded, decoding), false},
		"one that says it passes":     {fmt.Errorf("x: %w", told(true)), true},
		"one that says it stays":      {fmt.Errorf("x: %w", told(false)), false},
		"nothing joined":              {&kadm.ShardErrors{}, false},
		"the client is closed":        {kgo.ErrClientClosed, false},
		"a batch that cannot be read": {fmt.Errorf("encoded crc %x does not match calculated crc %x", 1, 2), false},
	} {
		if got := transient.Is(tc.err); got != tc.want {
			t.Errorf("%s (%v): got %v, want %v", name, tc.err, got, tc.want)
		}
	}
}

// The client has no named error for a broker that it does not know. The error is
// recognised by its text, and this test pins that text.
func TestBrokerThatHasLeft(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := cl.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Broker(99).Request(ctx, kmsg.NewPtrApiVersionsRequest()); err == nil || !transient.Is(err) {
		t.Errorf("%v is permanent", err)
	}
}
