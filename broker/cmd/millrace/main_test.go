package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker"
)

// startBroker runs the command on a directory, and returns its address and a function that stops it.
func startBroker(t *testing.T, args ...string) (addr string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"broker", "-listen", "127.0.0.1:0"}, args...), in, io.Discard)
		_ = in.CloseWithError(err) // a pipe's never fails
		done <- err
	}()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		t.Fatalf("first line %q", line)
	}
	return addr, stop
}

// TestBrokerRuns starts the command, asks it something over TCP, and stops it.
func TestBrokerRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr, stop := startBroker(t, "-dir", dir, "-partitions", "3")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the other end may have closed first
	// ApiVersions version 0, correlation id 7, no client id.
	if _, err := c.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 8)
	if _, err := io.ReadFull(c, answer); err != nil || answer[7] != 7 {
		t.Errorf("answer % x, %v", answer, err)
	}

	if err := run(t.Context(), []string{"broker", "-dir", dir, "-listen", "127.0.0.1:0"}, io.Discard, io.Discard); err == nil ||
		!strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
		t.Errorf("a second one on the directory: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		want string
	}{
		{"", "help"},
		{"serve", "serve"},
		{"help serve", "serve"},
		{"broker", "-dir"},
		{"broker -dir d -listen nonsense", "nonsense"},
		{"broker -dir d -bogus", "bogus"},
		{"broker -dir d -durability maybe", "maybe"},
		{"broker -dir d -partitions 0", "-partitions"},
		{"broker -dir d extra", "extra"},
		{"broker -dir d -max-request-bytes 1", "MaxRequestBytes"},
		{"broker -dir d -config nowhere.conf", "nowhere.conf"},
		{"broker -dir d -listen :9092", "AllowInsecure"},
		{"broker -dir d -sasl GSSAPI", "GSSAPI"},
		{"broker -dir d -tls-cert c", "-tls-key"},
		{"broker -dir d -tls-cert c -tls-key k", "no such file"},
		{"broker -dir d -users nowhere.txt", "nowhere.txt"},
		{"dump", "name files"},
		{"dump nowhere", "nowhere"},
		{"dump -o xml main.go", "xml"},
		{"dump main.go", "main.go"},
		{"verify", "-dir"},
		{"verify -dir d extra", "extra"},
		{"verify -dir .", "no data directory"},
		{"backup -to e", "-dir"},
		{"backup -dir d", "-to"},
		{"backup -dir . -to e", "no data directory"},
		{"completion", "bash"},
		{"completion ksh", "ksh"},
	} {
		err := run(t.Context(), strings.Fields(c.args), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", c.args, err)
		}
	}
	if got := []int{status(nil), status(errors.New("x")), status(usageError{"x"})}; !slices.Equal(got, []int{0, 1, 2}) {
		t.Error(got)
	}
}

// brokerConfig reads a command line.
func brokerConfig(args string) (broker.Config, error) {
	fs := flag.NewFlagSet("broker", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	read := brokerFlags(fs)
	if err := fs.Parse(strings.Fields(args)); err != nil {
		return broker.Config{}, err
	}
	return read(fs.Args())
}

func TestFlagsAreTheConfiguration(t *testing.T) {
	t.Parallel()
	const line = "-dir d -listen :1 -allow-insecure -advertise h:2 -rack r -durability async -auto-create -partitions 3 " +
		"-retention-interval 1s -offsets-retention 2s -group-heartbeat-interval 3s -group-session-timeout 4s -group-migration-policy upgrade " +
		"-compaction-interval 5s -compaction-bytes 6000 -reserve-bytes 7 -max-connections 8 -max-request-bytes 70000 -max-in-flight-bytes 80000 " +
		"-max-connections-per-address 9 -max-connection-rate 10 -authorize -allow-if-no-acl -sasl PLAIN -super-user User:u -session-lifetime 11s"
	cfg, err := brokerConfig(line)
	want := broker.Config{
		Dir: "d", Listen: ":1", Advertise: "h:2", Rack: "r", Durability: broker.Async, AutoCreateTopics: true, DefaultPartitions: 3,
		RetentionInterval: time.Second, OffsetsRetention: 2 * time.Second, GroupHeartbeatInterval: 3 * time.Second,
		GroupSessionTimeout: 4 * time.Second, GroupMigration: broker.MigrateUp, CompactionInterval: 5 * time.Second, CompactionBytes: 6000,
		ReserveBytes: 7, MaxConnections: 8, MaxRequestBytes: 70000, MaxInFlightBytes: 80000,
		Security: broker.Security{
			AllowInsecure: true, MaxConnectionsPerAddress: 9, MaxConnectionRate: 10, Authorize: true, AllowIfNoACL: true,
			Mechanisms: []string{broker.Plain}, SuperUsers: []string{"User:u"}, SessionLifetime: 11 * time.Second,
		},
	}
	if err != nil || !reflect.DeepEqual(cfg, want) {
		t.Errorf("%+v, %v", cfg, err)
	}
	files := []string{"config", "users", "tls-cert", "tls-key", "tls-client-ca"} // tested elsewhere
	fs := flag.NewFlagSet("broker", flag.ContinueOnError)
	brokerFlags(fs)
	fs.VisitAll(func(f *flag.Flag) {
		if !strings.Contains(line, "-"+f.Name+" ") && !slices.Contains(files, f.Name) {
			t.Errorf("-%s is not tested", f.Name)
		}
	})
	for policy, want := range map[string]broker.GroupMigration{
		"bidirectional": broker.MigrateBothWays, "downgrade": broker.MigrateDown, "disabled": broker.MigrateNever,
	} {
		if cfg, err := brokerConfig("-dir d -group-migration-policy " + policy); err != nil || cfg.GroupMigration != want {
			t.Errorf("%s: %v, %v", policy, cfg.GroupMigration, err)
		}
	}
}

// TestSecurityFlags: mechanisms, users and super users from flags and files; a fault in the users' file does not show passwords.
func TestSecurityFlags(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "users.txt")
	if err := os.WriteFile(path, []byte("# ours\nadmin:a:b\n\nalice:secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := brokerConfig("-dir d -sasl PLAIN,SCRAM-SHA-512 -users " + path + " -authorize -super-user User:admin -super-user User:CN=x,O=y -session-lifetime 1h")
	want := broker.Security{Mechanisms: []string{"PLAIN", "SCRAM-SHA-512"}, Users: []broker.User{{Name: "admin", Password: "a:b"}, {Name: "alice", Password: "secret"}},
		Authorize: true, SuperUsers: []string{"User:admin", "User:CN=x,O=y"}, SessionLifetime: time.Hour}
	if err != nil || !reflect.DeepEqual(cfg.Security, want) {
		t.Errorf("%#v, %v", cfg.Security, err)
	}
	if err := os.WriteFile(path, []byte("alice=secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := brokerConfig("-dir d -users " + path); err == nil || !strings.Contains(err.Error(), "line 1") || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

// TestTLSFlags: with authorities of clients, every client has to have a certificate of one of them.
func TestTLSFlags(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(nil) // has a certificate
	t.Cleanup(server.Close)
	pair := server.TLS.Certificates[0]
	rawKey, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: rawKey},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(args string) (*tls.Config, error) {
		cfg, err := brokerConfig("-dir d " + strings.ReplaceAll(args, "DIR", dir))
		return cfg.Security.TLS, err
	}
	if c, err := read("-tls-cert DIR/cert.pem -tls-key DIR/key.pem"); err != nil || len(c.Certificates) != 1 || c.ClientAuth != tls.NoClientCert {
		t.Errorf("%+v, %v", c, err)
	}
	c, err := read("-tls-cert DIR/cert.pem -tls-key DIR/key.pem -tls-client-ca DIR/cert.pem")
	if err != nil || c.ClientAuth != tls.RequireAndVerifyClientCert || c.ClientCAs == nil {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := server.Certificate().Verify(x509.VerifyOptions{Roots: c.ClientCAs}); err != nil {
		t.Error(err)
	}
	for args, fault := range map[string]string{
		"-tls-client-ca DIR/cert.pem": "go together", "-tls-key DIR/key.pem": "go together",
		"-tls-cert DIR/cert.pem -tls-key DIR/key.pem -tls-client-ca DIR/key.pem": "has no certificate",
		"-tls-cert DIR/cert.pem -tls-key DIR/key.pem -tls-client-ca DIR/none":    "no such file",
	} {
		if _, err := read(args); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// TestConfigFile: a file sets what the command line does not; each fault in it is told with its line.
func TestConfigFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "millrace.conf")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# ours\n\ndir = /data\nlisten= 127.0.0.1:1\nauto-create = true\npartitions = 5\n")
	cfg, err := brokerConfig("-config " + path + " -partitions 7")
	want := broker.Config{Dir: "/data", Listen: "127.0.0.1:1", AutoCreateTopics: true, DefaultPartitions: 7}
	if err != nil || !reflect.DeepEqual(cfg, want) {
		t.Errorf("%+v, %v", cfg, err)
	}
	for text, fault := range map[string]string{
		"dir": "line 1: want name = value", "dir = d\nbogus = 1": `line 2: there is no setting "bogus"`,
		"config = x": "line 1: there is no setting", "\npartitions = many": "line 2: partitions",
	} {
		write(text)
		if _, err := brokerConfig("-config " + path); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), fault) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
