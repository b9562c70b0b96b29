package integration

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const defaultImage = "apache/kafka:4.3.1"

// cluster is the Kafka cluster that all tests of this package share.
type cluster struct {
	brokers string // plaintext bootstrap address
	secure  string // SASL_SSL bootstrap address; empty for a cluster of the user
	tls     *certificates
	broker  testcontainers.Container // nil for a cluster of the user
	stop    func()
}

// theCluster is set by TestMain. If there is none, it is nil, and absence is the reason.
var (
	theCluster *cluster
	absence    string
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	c, err := startCluster(context.Background())
	switch {
	case err == nil:
		theCluster = c
		defer c.stop()
		defer stopHostile()
	case os.Getenv("CI") != "":
		log.Printf("in CI the tests on real Kafka must run: %v", err)
		return 1
	default:
		absence = err.Error()
	}
	return m.Run()
}

// kafka returns the cluster. If there is none, it skips the test with the reason.
func kafka(t *testing.T) *cluster {
	t.Helper()
	if theCluster == nil {
		t.Skipf("no Kafka to test on: %s", absence)
	}
	return theCluster
}

// startCluster uses the cluster that MILLRACE_BROKERS names. If it is not set, it starts
// a cluster in a container.
func startCluster(ctx context.Context) (*cluster, error) {
	if brokers := os.Getenv("MILLRACE_BROKERS"); brokers != "" {
		return &cluster{brokers: brokers, stop: func() {}}, nil
	}
	if err := exec.Command("docker", "info").Run(); err != nil {
		return nil, fmt.Errorf("no Docker engine answers (docker info: %w), and MILLRACE_BROKERS is not set", err)
	}
	return startSomewhere(ctx, nil)
}

// startSomewhere tries other ports if another process took one of them before the
// container did.
func startSomewhere(ctx context.Context, env map[string]string) (c *cluster, err error) {
	const tries = 4
	for range tries {
		if c, err = startContainer(ctx, env); err == nil || !strings.Contains(err.Error(), "port is already allocated") && !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	return c, err
}

// startContainer runs one combined broker and controller with two listeners for the host:
// PLAINTEXT, and SECURE with TLS and SCRAM. Host ports are chosen first, because a broker
// must know its advertised address before it starts. env contains further settings of the
// broker, as variables of the image.
func startContainer(ctx context.Context, env map[string]string) (*cluster, error) {
	image := os.Getenv("KAFKA_IMAGE")
	if image == "" {
		image = defaultImage
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	certs, err := newCertificates()
	if err != nil {
		return nil, err
	}
	// the reaper is a separate image; the container is removed below
	os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
	loopback := netip.MustParseAddr("127.0.0.1")
	plain, secure := strconv.Itoa(ports[0]), strconv.Itoa(ports[1])
	settings := brokerEnv(plain, secure)
	maps.Copy(settings, env)
	broker, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		ContainerRequest: testcontainers.ContainerRequest{
			Image:        image,
			ExposedPorts: []string{"9092/tcp", "9094/tcp"},
			Env:          settings,
			HostConfigModifier: func(h *container.HostConfig) {
				h.PortBindings = network.PortMap{
					network.MustParsePort("9092/tcp"): {{HostIP: loopback, HostPort: plain}},
					network.MustParsePort("9094/tcp"): {{HostIP: loopback, HostPort: secure}},
				}
			},
			Files: []testcontainers.ContainerFile{
				{Reader: certs.keyStore(), ContainerFilePath: "/tmp/keystore.pem", FileMode: 0o644},
				{Reader: certs.trustStore(), ContainerFilePath: "/tmp/truststore.pem", FileMode: 0o644},
			},
		},
		Started: true,
	})
	if err != nil {
		_ = testcontainers.TerminateContainer(broker)
		return nil, fmt.Errorf("start %s: %w", image, err)
	}
	c := &cluster{brokers: "127.0.0.1:" + plain, secure: "127.0.0.1:" + secure, tls: certs, broker: broker}
	c.stop = func() { _ = testcontainers.TerminateContainer(broker) }
	if err := c.ready(ctx); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// brokerEnv configures the broker. For requests to itself, for example to end
// transactions, the broker has an internal listener: the ports that it advertises to the
// host are not open inside the container. Clients without a name may do everything. The
// users of the SECURE listener need ACLs.
func brokerEnv(plainPort, securePort string) map[string]string {
	return map[string]string{
		"KAFKA_NODE_ID":                                                 "1",
		"KAFKA_PROCESS_ROLES":                                           "broker,controller",
		"KAFKA_CONTROLLER_QUORUM_VOTERS":                                "1@localhost:9093",
		"KAFKA_CONTROLLER_LISTENER_NAMES":                               "CONTROLLER",
		"KAFKA_INTER_BROKER_LISTENER_NAME":                              "INTERNAL",
		"KAFKA_LISTENERS":                                               "PLAINTEXT://:9092,CONTROLLER://:9093,SECURE://:9094,INTERNAL://:9095",
		"KAFKA_ADVERTISED_LISTENERS":                                    "PLAINTEXT://127.0.0.1:" + plainPort + ",SECURE://127.0.0.1:" + securePort + ",INTERNAL://localhost:9095",
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":                          "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,SECURE:SASL_SSL",
		"KAFKA_SASL_ENABLED_MECHANISMS":                                 "SCRAM-SHA-256",
		"KAFKA_LISTENER_NAME_SECURE_SCRAM___SHA___256_SASL_JAAS_CONFIG": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"KAFKA_SSL_KEYSTORE_TYPE":                                       "PEM",
		"KAFKA_SSL_KEYSTORE_LOCATION":                                   "/tmp/keystore.pem",
		"KAFKA_SSL_TRUSTSTORE_TYPE":                                     "PEM",
		"KAFKA_SSL_TRUSTSTORE_LOCATION":                                 "/tmp/truststore.pem",
		"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":                        "1",
		"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS":                            "4",
		"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR":                "1",
		"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":                           "1",
		"KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS":                    "4",
		"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR":        "1",
		"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR":                   "1",
		"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":                        "0",
		"KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS":                            "1000",
		"KAFKA_AUTO_CREATE_TOPICS_ENABLE":                               "false",
		"KAFKA_AUTHORIZER_CLASS_NAME":                                   "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"KAFKA_SUPER_USERS":                                             "User:ANONYMOUS",
	}
}

// ready waits until the broker answers and its group and transaction coordinators are
// available.
func (c *cluster) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for {
		_, err := admin.ListTopics(ctx)
		groups := admin.FindGroupCoordinators(ctx, "ready")
		txns := admin.FindTxnCoordinators(ctx, "ready")
		err = errors.Join(err, groups.Error(), txns.Error())
		if err == nil {
			return nil
		}
		pause(50 * time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("the broker at %s does not answer: %w", c.brokers, err)
		}
	}
}

// freePorts returns n unused ports of the loopback interface.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
