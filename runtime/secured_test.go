package runtime_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/runtime"
)

// selfSigned is the certificate of a listener on 127.0.0.1, and those who trust it.
func selfSigned(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(raw); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, pool
}

// TestSecured runs an application over TLS, authenticated by SCRAM, against a log that lets it do what Kafka Streams' documentation
// says it needs, and no more: to read its inputs and write its outputs, and everything with topics, groups and transactional ids that
// begin with its own id.
func TestSecured(t *testing.T) {
	t.Parallel()
	certificate, pool := selfSigned(t)
	b := brokertest.Start(t, brokertest.Listen(), brokertest.Config(func(c *broker.Config) {
		c.Security = broker.Security{
			TLS: &tls.Config{Certificates: []tls.Certificate{certificate}}, Mechanisms: []string{broker.ScramSHA512},
			Users: []broker.User{{Name: "app", Password: "secret"}}, Authorize: true,
		}
	}))
	l := connectLog(t, b.Brokers(), b.Dial) // in process, as the operator
	n := newJob(t, l, partitions)
	permit(t, b, n)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, n.In, jobInput(1, 2000, partitions, 0))
	remote := *l
	remote.dial = nil // the application comes over TCP
	app := remote.start(t, top, runtime.Config{ApplicationID: n.App, StateDir: t.TempDir(), Workers: 2,
		TLS: &tls.Config{RootCAs: pool}, SASL: scram.Auth{User: "app", Pass: "secret"}.AsSha512Mechanism()})
	eventually(t, 30*time.Second, "all is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
	n.check(t, l)
}

// permit lets the application do what it needs.
func permit(t *testing.T, b *brokertest.Broker, n jobNames) {
	t.Helper()
	adm, err := kadm.NewOptClient(kgo.SeedBrokers(b.Brokers()...), kgo.Dialer(b.Dial))
	if err != nil {
		t.Fatal(err)
	}
	defer adm.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	acl := func() *kadm.ACLBuilder { return kadm.NewACLs().Allow("User:app").AllowHosts() }
	for _, acls := range []*kadm.ACLBuilder{
		acl().Topics(n.In).Operations(kadm.OpRead).ResourcePatternType(kadm.ACLPatternLiteral),
		acl().Topics(n.Copy, n.Counts, n.Windows).Operations(kadm.OpWrite).ResourcePatternType(kadm.ACLPatternLiteral),
		acl().Topics(n.App).Groups(n.App).TransactionalIDs(n.App).Operations(kadm.OpAll).ResourcePatternType(kadm.ACLPatternPrefixed),
	} {
		results, err := adm.CreateACLs(ctx, acls)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Fatal(r)
			}
		}
	}
}

// TestSecuredKafka runs an application on a real Kafka over TLS, authenticated by each mechanism, and one that is not who it says.
func TestSecuredKafka(t *testing.T) {
	t.Parallel()
	addresses, trusted := os.Getenv("MILLRACE_KAFKA_SECURE"), os.Getenv("MILLRACE_KAFKA_CA")
	if addresses == "" || trusted == "" {
		t.Skip("MILLRACE_KAFKA_SECURE=host:port and MILLRACE_KAFKA_CA=file do not name a listener of a Kafka: .ci/kafka/kafka up --secure")
	}
	pem, err := os.ReadFile(trusted)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate in %s", trusted)
	}
	l := openLog(t, false) // the same Kafka, by the listener for everybody
	l.brokers = strings.Split(addresses, ",")
	for name, m := range map[string]sasl.Mechanism{
		"plain":         plain.Auth{User: "millrace", Pass: "secret"}.AsMechanism(),
		"scram-sha-256": scram.Auth{User: "millrace", Pass: "secret"}.AsSha256Mechanism(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newJob(t, l, 2)
			top, err := n.topology()
			if err != nil {
				t.Fatal(err)
			}
			l.write(t, n.In, jobInput(1, 500, 2, 0))
			app := l.start(t, top, runtime.Config{ApplicationID: n.App, StateDir: t.TempDir(), TLS: &tls.Config{RootCAs: pool}, SASL: m})
			eventually(t, time.Minute, "all is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
			if err := app.stop(); err != nil {
				t.Fatal(err)
			}
			n.check(t, l)
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		n := newJob(t, l, 1)
		top, err := n.topology()
		if err != nil {
			t.Fatal(err)
		}
		app := l.start(t, top, runtime.Config{ApplicationID: n.App, TLS: &tls.Config{RootCAs: pool},
			SASL: scram.Auth{User: "millrace", Pass: "guessed"}.AsSha256Mechanism()})
		if err := app.failure(t, time.Minute); !errors.Is(err, kerr.SaslAuthenticationFailed) || strings.Contains(err.Error(), "reachable") {
			t.Errorf("got %v", err)
		}
	})
}
