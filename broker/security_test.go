package broker_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// secured makes the broker listen, with all mechanisms, an admin and alice.
func secured(change func(*broker.Security)) brokertest.Option {
	return brokertest.Config(func(c *broker.Config) {
		c.Listen = "127.0.0.1:0"
		c.Security = broker.Security{
			Mechanisms: []string{broker.Plain, broker.ScramSHA256, broker.ScramSHA512},
			Users:      []broker.User{{Name: "admin", Password: "admin-secret"}, {Name: "alice", Password: "alice-secret"}},
			SuperUsers: []string{"User:admin"},
		}
		if change != nil {
			change(&c.Security)
		}
	})
}

func mechanisms(user, password string) map[string]sasl.Mechanism {
	s := scram.Auth{User: user, Pass: password}
	return map[string]sasl.Mechanism{
		broker.Plain: plain.Auth{User: user, Pass: password}.AsMechanism(), broker.ScramSHA256: s.AsSha256Mechanism(), broker.ScramSHA512: s.AsSha512Mechanism(),
	}
}

// as returns a client over TCP that is a user.
func as(t testing.TB, b *brokertest.Broker, user, password string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	return tcpClient(t, b, append([]kgo.Opt{kgo.SASL(mechanisms(user, password)[broker.ScramSHA512])}, opts...)...)
}

// connects reports how it ends to ask the broker something.
func connects(t testing.TB, b *brokertest.Broker, opts ...kgo.Opt) error {
	t.Helper()
	cl := tcpClient(t, b, append([]kgo.Opt{kgo.RequestRetries(0), kgo.RetryTimeout(time.Second)}, opts...)...)
	_, err := kmsg.NewPtrMetadataRequest().RequestWith(testContext(t), cl)
	return err
}

func TestSASL(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, secured(nil))
	for name := range mechanisms("", "") {
		if err := connects(t, b, kgo.SASL(mechanisms("alice", "alice-secret")[name])); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for user, password := range map[string]string{"alice": "admin-secret", "nobody": "alice-secret"} {
			if err := connects(t, b, kgo.SASL(mechanisms(user, password)[name])); !errors.Is(err, kerr.SaslAuthenticationFailed) {
				t.Errorf("%s as %s: %v", name, user, err)
			}
		}
	}
	if err := connects(t, b); err == nil {
		t.Error("without authentication")
	}
	cl := as(t, b, "alice", "alice-secret")
	createTopic(t, cl, "t", 1)
	if err := cl.ProduceSync(testContext(t), numbered("t", 0, 10)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	consume(t, as(t, b, "admin", "admin-secret", kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), 10)
	consume(t, client(t, b, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), 10) // in process: no password
	cl = client(t, b, kgo.SASL(mechanisms("alice", "alice-secret")[broker.ScramSHA256]))
	if _, err := kmsg.NewPtrMetadataRequest().RequestWith(testContext(t), cl); err != nil {
		t.Errorf("in process with a password: %v", err)
	}
}

// TestUnofferedMechanism: what is not switched on is refused, and told what is.
func TestUnofferedMechanism(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, secured(func(s *broker.Security) { s.Mechanisms = []string{broker.ScramSHA512} }))
	for name, m := range mechanisms("alice", "alice-secret") {
		if err := connects(t, b, kgo.SASL(m)); (err == nil) != (name == broker.ScramSHA512) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := dialTCP(t, b)
	resp := ask[*kmsg.SASLHandshakeResponse](t, c, 1, &kmsg.SASLHandshakeRequest{Mechanism: "GSSAPI"})
	if resp.ErrorCode != kerr.UnsupportedSaslMechanism.Code || len(resp.SupportedMechanisms) != 1 {
		t.Errorf("%+v", resp)
	}
	closed(t, c)
}

// TestBeforeAuthentication: nothing but what authentication takes is served before it.
func TestBeforeAuthentication(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, secured(nil))
	c := dialTCP(t, b)
	if resp := ask[*kmsg.ApiVersionsResponse](t, c, 0, kmsg.NewPtrApiVersionsRequest()); resp.ErrorCode != 0 || len(resp.ApiKeys) < 30 {
		t.Errorf("%+v", resp)
	}
	if resp := ask[*kmsg.SASLAuthenticateResponse](t, c, 1, kmsg.NewPtrSASLAuthenticateRequest()); resp.ErrorCode != kerr.IllegalSaslState.Code {
		t.Errorf("without handshake: %+v", resp)
	}
	c.send(t, 9, kmsg.NewPtrMetadataRequest())
	closed(t, c)

	c = dialTCP(t, b)
	ask[*kmsg.SASLHandshakeResponse](t, c, 1, &kmsg.SASLHandshakeRequest{Mechanism: broker.Plain})
	c.send(t, 9, kmsg.NewPtrMetadataRequest())
	closed(t, c)

	c = dialTCP(t, b) // what follows a failure is not served, even if it was sent before the answer
	ask[*kmsg.SASLHandshakeResponse](t, c, 1, &kmsg.SASLHandshakeRequest{Mechanism: broker.Plain})
	c.send(t, 1, &kmsg.SASLAuthenticateRequest{SASLAuthBytes: []byte("\x00alice\x00wrong")})
	failed := c.correlation
	c.send(t, 1, &kmsg.SASLHandshakeRequest{Mechanism: broker.Plain})
	resp := &kmsg.SASLAuthenticateResponse{Version: 1}
	c.receive(t, failed, resp)
	if resp.ErrorCode != kerr.SaslAuthenticationFailed.Code {
		t.Errorf("%+v", resp)
	}
	closed(t, c)

	c = dialTCP(t, b) // a large frame is not waited for
	if _, err := c.Write([]byte{0, 1, 0, 1}); err != nil {
		t.Fatal(err)
	}
	closed(t, c)
}

// TestWithoutSASL: a broker that asks for no authentication says so to who wants to.
func TestWithoutSASL(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Listen())
	c := dialTCP(t, b)
	if resp := ask[*kmsg.SASLHandshakeResponse](t, c, 1, &kmsg.SASLHandshakeRequest{Mechanism: broker.Plain}); resp.ErrorCode != kerr.IllegalSaslState.Code {
		t.Errorf("handshake: %+v", resp)
	}
	if resp := ask[*kmsg.SASLAuthenticateResponse](t, c, 2, kmsg.NewPtrSASLAuthenticateRequest()); resp.ErrorCode != kerr.IllegalSaslState.Code {
		t.Errorf("authenticate: %+v", resp)
	}
	if resp := ask[*kmsg.DescribeACLsResponse](t, c, 3, &kmsg.DescribeACLsRequest{ResourceType: 1, ResourcePatternType: 1, Operation: 1, PermissionType: 1}); resp.ErrorCode != kerr.SecurityDisabled.Code {
		t.Errorf("access control: %+v", resp)
	}
}

// dialTCP is dialRaw over TCP.
func dialTCP(t testing.TB, b *brokertest.Broker) *rawConn {
	t.Helper()
	return dialAddr(t, b.Addr().String())
}

// closed waits until the broker has closed the connection.
func closed(t testing.TB, c *rawConn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v: the connection is open", n, err)
	}
}

// clock is a wall clock that a test moves.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Now().UnixNano())
	return c
}

func (c *clock) Now() time.Time      { return time.Unix(0, c.at.Load()) }
func (c *clock) Add(d time.Duration) { c.at.Add(int64(d)) }

// TestSessionLifetime: a client that does not authenticate again in time is cut off; one that does goes on, but not as another user.
func TestSessionLifetime(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := brokertest.Start(t, secured(func(s *broker.Security) { s.SessionLifetime = time.Minute }), brokertest.Config(func(c *broker.Config) { c.Now = clock.Now }))
	login := func(c *rawConn, user, password string) *kmsg.SASLAuthenticateResponse {
		ask[*kmsg.SASLHandshakeResponse](t, c, 1, &kmsg.SASLHandshakeRequest{Mechanism: broker.Plain})
		return ask[*kmsg.SASLAuthenticateResponse](t, c, 2, &kmsg.SASLAuthenticateRequest{SASLAuthBytes: []byte("\x00" + user + "\x00" + password)})
	}
	c := dialTCP(t, b)
	if resp := login(c, "alice", "alice-secret"); resp.ErrorCode != 0 || resp.SessionLifetimeMillis != 60_000 {
		t.Fatalf("%+v", resp)
	}
	clock.Add(50 * time.Second)
	ask[*kmsg.MetadataResponse](t, c, 9, kmsg.NewPtrMetadataRequest())
	if resp := login(c, "alice", "alice-secret"); resp.ErrorCode != 0 {
		t.Fatalf("again: %+v", resp)
	}
	clock.Add(50 * time.Second)
	ask[*kmsg.MetadataResponse](t, c, 9, kmsg.NewPtrMetadataRequest())
	if resp := login(c, "admin", "admin-secret"); resp.ErrorCode != kerr.SaslAuthenticationFailed.Code {
		t.Errorf("as another: %+v", resp)
	}
	closed(t, c)
	c = dialTCP(t, b)
	login(c, "alice", "alice-secret")
	clock.Add(time.Minute)
	c.send(t, 9, kmsg.NewPtrMetadataRequest())
	closed(t, c)
}

// TestUsersAreKept: users made by a client outlive a restart, and passwords can be changed and taken away.
func TestUsersAreKept(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, secured(nil))
	adm := kadm.NewClient(as(t, b, "admin", "admin-secret"))
	upsert := func(user, password string, m kadm.ScramMechanism, iterations int32) error {
		results, err := adm.AlterUserSCRAMs(testContext(t), nil, []kadm.UpsertSCRAM{{User: user, Mechanism: m, Iterations: iterations, Password: password}})
		if err != nil {
			t.Fatal(err)
		}
		return results[user].Err
	}
	if err := errors.Join(upsert("bob", "bob-secret", kadm.ScramSha256, 4096), upsert("bob", "bob-secret", kadm.ScramSha512, 5000)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user       string
		mechanism  int8
		iterations int32
		want       *kerr.Error
	}{
		{"eve", 1, 4095, kerr.UnacceptableCredential}, {"eve", 2, 16385, kerr.UnacceptableCredential},
		{"", 1, 4096, kerr.UnacceptableCredential}, {"eve", 3, 4096, kerr.UnsupportedSaslMechanism},
	} {
		req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		req.Upsertions = append(req.Upsertions, kmsg.AlterUserSCRAMCredentialsRequestUpsertion{
			Name: c.user, Mechanism: c.mechanism, Iterations: c.iterations, Salt: []byte("salt"), SaltedPassword: []byte("salted")})
		resp := raw[*kmsg.AlterUserSCRAMCredentialsResponse](t, as(t, b, "admin", "admin-secret"), req)
		if len(resp.Results) != 1 || resp.Results[0].ErrorCode != c.want.Code {
			t.Errorf("%+v: %+v", c, resp.Results)
		}
	}
	twice := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	twice.Deletions = append(twice.Deletions, kmsg.AlterUserSCRAMCredentialsRequestDeletion{Name: "bob", Mechanism: 1})
	twice.Upsertions = append(twice.Upsertions, kmsg.AlterUserSCRAMCredentialsRequestUpsertion{
		Name: "bob", Mechanism: 1, Iterations: 4096, Salt: []byte("salt"), SaltedPassword: []byte("salted")})
	if resp := raw[*kmsg.AlterUserSCRAMCredentialsResponse](t, as(t, b, "admin", "admin-secret"), twice); len(resp.Results) != 1 || resp.Results[0].ErrorCode != kerr.DuplicateResource.Code {
		t.Errorf("twice: %+v", resp.Results)
	}
	b = b.Restart(t)
	adm = kadm.NewClient(as(t, b, "admin", "admin-secret"))
	described, err := adm.DescribeUserSCRAMs(testContext(t))
	if err != nil || len(described) != 3 || len(described["bob"].CredInfos) != 2 || described["bob"].CredInfos[1].Iterations != 5000 {
		t.Errorf("described: %+v, %v", described, err)
	}
	if d, err := adm.DescribeUserSCRAMs(testContext(t), "eve"); err != nil || !errors.Is(d["eve"].Err, kerr.ResourceNotFound) {
		t.Errorf("unknown: %+v, %v", d, err)
	}
	for name, m := range mechanisms("bob", "bob-secret") {
		if err := connects(t, b, kgo.SASL(m)); err != nil {
			t.Errorf("%s after a restart: %v", name, err)
		}
	}
	if err := upsert("bob", "changed", kadm.ScramSha512, 4096); err != nil {
		t.Fatal(err)
	}
	if err := connects(t, b, kgo.SASL(mechanisms("bob", "bob-secret")[broker.ScramSHA512])); err == nil {
		t.Error("the old password")
	}
	gone := []kadm.DeleteSCRAM{{User: "bob", Mechanism: kadm.ScramSha256}, {User: "bob", Mechanism: kadm.ScramSha512}}
	if results, err := adm.AlterUserSCRAMs(testContext(t), gone, nil); err != nil || !results.Ok() {
		t.Fatal(results, err)
	}
	if results, err := adm.AlterUserSCRAMs(testContext(t), gone, nil); err != nil || !errors.Is(results["bob"].Err, kerr.ResourceNotFound) {
		t.Error(results, err)
	}
	if err := connects(t, b, kgo.SASL(mechanisms("bob", "changed")[broker.ScramSHA512])); err == nil {
		t.Error("a deleted user")
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	b := brokertest.Start(t, brokertest.Listen(), brokertest.Config(func(c *broker.Config) { c.Security.TLS = ca.server(t) }))
	if err := connects(t, b, kgo.DialTLSConfig(ca.client(t, ""))); err != nil {
		t.Error(err)
	}
	if err := connects(t, b, kgo.DialTLSConfig(newAuthority(t).client(t, ""))); err == nil {
		t.Error("a client that does not know the authority")
	}
	if err := connects(t, b); err == nil {
		t.Error("in the clear")
	}
	cl := tcpClient(t, b, kgo.DialTLSConfig(ca.client(t, "")), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	createTopic(t, cl, "t", 3)
	if err := cl.ProduceSync(testContext(t), numbered("t", 0, 2000)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	consume(t, cl, 2000)
}

// TestMutualTLS: a client is who its certificate says.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	b := brokertest.Start(t, brokertest.Listen(), brokertest.Config(func(c *broker.Config) {
		c.Security.TLS = ca.server(t)
		c.Security.TLS.ClientAuth = tls.RequireAndVerifyClientCert
		c.Security.Authorize, c.Security.SuperUsers = true, []string{"User:CN=root,O=Example"}
	}))
	if err := connects(t, b, kgo.DialTLSConfig(ca.client(t, ""))); err == nil {
		t.Error("without a certificate")
	}
	if err := connects(t, b, kgo.DialTLSConfig(&tls.Config{RootCAs: ca.pool(), Certificates: newAuthority(t).client(t, "alice").Certificates})); err == nil {
		t.Error("with another authority's certificate")
	}
	root := kadm.NewClient(tcpClient(t, b, kgo.DialTLSConfig(ca.client(t, "root"))))
	grant(t, root, kadm.NewACLs().Topics("t").Operations(kadm.OpAll).Allow("User:CN=alice,O=Example").AllowHosts())
	createTopic(t, tcpClient(t, b, kgo.DialTLSConfig(ca.client(t, "alice"))), "t", 1)
	resp, err := kadm.NewClient(tcpClient(t, b, kgo.DialTLSConfig(ca.client(t, "bob")))).CreateTopic(testContext(t), 1, 1, nil, "t2")
	if !errors.Is(err, kerr.TopicAuthorizationFailed) && !errors.Is(resp.Err, kerr.TopicAuthorizationFailed) {
		t.Errorf("bob: %v, %v", resp.Err, err)
	}
}

func grant(t testing.TB, adm *kadm.Client, acls *kadm.ACLBuilder) {
	t.Helper()
	results, err := adm.CreateACLs(testContext(t), acls.ResourcePatternType(kadm.ACLPatternLiteral))
	for _, r := range results {
		err = errors.Join(err, r.Err)
	}
	if err != nil || len(results) == 0 {
		t.Fatal(results, err)
	}
}

// lockedBuffer is a log that is written by many.
type lockedBuffer struct {
	sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.Buffer.Write(p)
}

// TestNothingSecretInLogs: whatever goes right or wrong with passwords, none is in a log, an error or a dump.
func TestNothingSecretInLogs(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b := brokertest.Start(t, secured(nil), brokertest.Config(func(c *broker.Config) { c.Logger = logger }))
	logger.Info("config", "users", b.Config.Security.Users, "security", b.Config.Security)
	for name := range mechanisms("", "") {
		if err := connects(t, b, kgo.SASL(mechanisms("alice", "alice-secret")[name])); err != nil {
			t.Error(err)
		}
		if err := connects(t, b, kgo.SASL(mechanisms("alice", "wrong-secret")[name])); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := dialTCP(t, b) // a password where none belongs
	ask[*kmsg.SASLHandshakeResponse](t, c, 1, &kmsg.SASLHandshakeRequest{Mechanism: broker.ScramSHA256})
	resp := ask[*kmsg.SASLAuthenticateResponse](t, c, 1, &kmsg.SASLAuthenticateRequest{SASLAuthBytes: []byte("\x00alice\x00alice-secret")})
	if resp.ErrorCode == 0 || resp.ErrorMessage == nil || strings.Contains(*resp.ErrorMessage, "secret") {
		t.Errorf("%+v", resp)
	}
	closed(t, c)
	if err := b.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	log.Lock()
	defer log.Unlock()
	if s := log.String(); strings.Contains(s, "secret") || !strings.Contains(s, "authentication failed") {
		t.Errorf("the log:\n%s", s)
	}
}

func TestSecurityConfig(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	valid := func(listen string, s broker.Security) error {
		return broker.Config{Dir: "d", Listen: listen, Security: s}.Validate()
	}
	mutual := ca.server(t)
	mutual.ClientAuth = tls.RequireAndVerifyClientCert
	for _, c := range []struct {
		listen string
		s      broker.Security
		fault  string // "": none
	}{
		{"127.0.0.1:1", broker.Security{}, ""},
		{"localhost:1", broker.Security{}, ""},
		{"[::1]:1", broker.Security{}, ""},
		{":1", broker.Security{}, "AllowInsecure"},
		{"0.0.0.0:1", broker.Security{}, "AllowInsecure"},
		{"192.0.2.1:1", broker.Security{}, "AllowInsecure"},
		{"example.com:1", broker.Security{}, "AllowInsecure"},
		{":1", broker.Security{AllowInsecure: true}, ""},
		{":1", broker.Security{Mechanisms: []string{broker.ScramSHA256}}, ""},
		{":1", broker.Security{Mechanisms: []string{broker.Plain}}, "without TLS"},
		{":1", broker.Security{Mechanisms: []string{broker.Plain}, TLS: ca.server(t)}, ""},
		{":1", broker.Security{TLS: ca.server(t)}, "AllowInsecure"},
		{":1", broker.Security{TLS: mutual}, ""},
		{"", broker.Security{TLS: &tls.Config{}}, "no certificate"},
		{"", broker.Security{Mechanisms: []string{"GSSAPI"}}, "GSSAPI"},
		{"", broker.Security{Users: []broker.User{{Name: "x"}}}, `"x"`},
		{"", broker.Security{SuperUsers: []string{"admin"}}, `"admin"`},
		{"", broker.Security{SessionLifetime: -1}, "SessionLifetime"},
		{"", broker.Security{MaxConnectionRate: -2}, "MaxConnectionRate"},
	} {
		err := valid(c.listen, c.s)
		if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%q %+v: %v", c.listen, c.s, err)
		}
	}
}

// TestKcatAuthenticates: librdkafka's mechanisms.
func TestKcatAuthenticates(t *testing.T) {
	t.Parallel()
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Skip("kcat is not installed")
	}
	b := brokertest.Start(t, secured(nil))
	for _, name := range []string{broker.Plain, broker.ScramSHA256, broker.ScramSHA512, "wrong password"} {
		mechanism, password, ok := name, "alice-secret", true
		if name == "wrong password" {
			mechanism, password, ok = broker.ScramSHA512, "wrong", false
		}
		ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
		cmd := exec.CommandContext(ctx, kcat, "-L", "-m", map[bool]string{true: "20", false: "1"}[ok], "-b", b.Addr().String(), "-X", "security.protocol=SASL_PLAINTEXT",
			"-X", "sasl.mechanism="+mechanism, "-X", "sasl.username=alice", "-X", "sasl.password="+password)
		out, err := cmd.CombinedOutput()
		cancel()
		if (err == nil) != ok {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
