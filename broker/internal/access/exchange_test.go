package access

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

var key = []byte("a server's secret")

// only knows one user, by both mechanisms.
func only(user, password string) Finder {
	return func(name string, m Mechanism) (Credential, bool) {
		if name != user {
			return Credential{}, false
		}
		return CredentialOf(m, MinIterations, []byte("0123456789abcdef"), password), true
	}
}

func begin(t testing.TB, mechanism string, find Finder) Exchange {
	t.Helper()
	x, ok := NewExchange(mechanism, find, "server", key)
	if !ok {
		t.Fatal(mechanism)
	}
	return x
}

// TestVector is the exchange of RFC 7677.
func TestVector(t *testing.T) {
	t.Parallel()
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	find := func(string, Mechanism) (Credential, bool) { return CredentialOf(SHA256, 4096, salt, "pencil"), true }
	x, _ := NewExchange(ScramSHA256, find, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", key)
	answer, done, _, err := x.Step([]byte("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"))
	if want := "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"; string(answer) != want || done || err != nil {
		t.Fatalf("%s, %v, %v", answer, done, err)
	}
	answer, done, user, err := x.Step([]byte("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
	if want := "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="; string(answer) != want || !done || user != "user" || err != nil {
		t.Fatalf("%s, %v, %s, %v", answer, done, user, err)
	}
	if _, _, _, err := x.Step(nil); !errors.Is(err, ErrAuthentication) {
		t.Errorf("after the end: %v", err)
	}
}

// TestClient runs exchanges with a client of another origin.
func TestClient(t *testing.T) {
	t.Parallel()
	auth := scram.Auth{User: "a=li,ce", Pass: "secret"}
	for name, m := range map[string]sasl.Mechanism{ScramSHA256: auth.AsSha256Mechanism(), ScramSHA512: auth.AsSha512Mechanism()} {
		x := begin(t, name, only("a=li,ce", "secret"))
		session, message, err := m.Authenticate(context.Background(), "host")
		if err != nil {
			t.Fatal(err)
		}
		for done := false; !done; {
			answer, finished, user, err := x.Step(message)
			if err != nil || finished && user != "a=li,ce" {
				t.Fatalf("%s: %v, %q", name, err, user)
			}
			if done, message, err = session.Challenge(answer); err != nil || done != finished {
				t.Fatalf("%s: %v, %v", name, done, err)
			}
		}
	}
}

// proof makes the client's final message.
func proof(m Mechanism, password, first, serverFirst, final string, iterations int32, salt []byte) string {
	c := CredentialOf(m, iterations, salt, password)
	salted := saltPassword(m, iterations, salt, password)
	p := mac(m, salted, "Client Key")
	signature := mac(m, c.StoredKey, first+","+serverFirst+","+final)
	for i := range p {
		p[i] ^= signature[i]
	}
	return final + ",p=" + base64.StdEncoding.EncodeToString(p)
}

// TestScramRefuses: whatever is not the right message at the right place fails, and all failures look alike but for malformed ones.
func TestScramRefuses(t *testing.T) {
	t.Parallel()
	find := only("alice", "secret")
	for _, first := range []string{
		"", "n,,", "n,,x=alice,r=x", "n,,n=alice,x=x", "n,,r=x,n=alice", "n,,n=alice", "n,,n=,r=x", "n,,n=alice,r=", "p=tls-unique,,n=alice,r=x", "n,,m=ext,n=alice,r=x", "n,,n=al=ice,r=x",
		"n,a=bob,n=alice,r=x", "n,,n=alice,r=x,tokenauth=true",
	} {
		if _, _, _, err := begin(t, ScramSHA256, find).Step([]byte(first)); !errors.Is(err, ErrAuthentication) {
			t.Errorf("first %q: %v", first, err)
		}
	}
	run := func(user, password, final string) error {
		x := begin(t, ScramSHA256, find)
		bare := "n=" + user + ",r=client"
		answer, _, _, err := x.Step([]byte("n,," + bare))
		if err != nil {
			t.Fatal(err)
		}
		var nonce, salt string
		var iterations int32
		if _, err := fmt.Sscanf(strings.ReplaceAll(string(answer), ",", " "), "r=%s s=%s i=%d", &nonce, &salt, &iterations); err != nil {
			t.Fatal(err)
		}
		raw, err := base64.StdEncoding.DecodeString(salt)
		if err != nil {
			t.Fatal(err)
		}
		message := proof(SHA256, password, bare, string(answer), strings.ReplaceAll(final, "NONCE", nonce), iterations, raw)
		_, done, _, err := x.Step([]byte(message))
		if done != (err == nil) {
			t.Errorf("%s: done %v with %v", final, done, err)
		}
		return err
	}
	const right = "c=biws,r=NONCE"
	if err := run("alice", "secret", right); err != nil {
		t.Errorf("the right one: %v", err)
	}
	if err := run("alice", "secret", "c=biws,r=clientNONCE"); err != nil {
		t.Errorf("as librdkafka before 2.6.1: %v", err)
	}
	for what, err := range map[string]error{
		"wrong password":      run("alice", "guess", right),
		"unknown user":        run("bob", "secret", right),
		"another nonce":       run("alice", "secret", "c=biws,r=clientother"),
		"only its own nonce":  run("alice", "secret", "c=biws,r=client"),
		"another binding":     run("alice", "secret", "c=eSws,r=NONCE"),
		"a missing attribute": run("alice", "secret", "r=NONCE"),
	} {
		if !errors.Is(err, ErrAuthentication) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A last message is looked at before it is known from whom it is: nothing in it must panic.
	for _, last := range []string{
		"", ",p=", "c=biws", "c=biws,r=clientserver", "c=biws,r=clientserver,p=", "c=biws,r=clientserver,p=!", "c=biws,r=clientserver,p=AAAA",
		"c=biws,r=clientserver,p=" + base64.StdEncoding.EncodeToString(make([]byte, 33)),
	} {
		x := begin(t, ScramSHA256, find)
		if answer, _, _, err := x.Step([]byte("n,,n=alice,r=client")); err != nil || !strings.HasPrefix(string(answer), "r=clientserver,") {
			t.Fatalf("%s, %v", answer, err)
		}
		if _, done, _, err := x.Step([]byte(last)); done || !errors.Is(err, ErrAuthentication) {
			t.Errorf("last %q: %v, %v", last, done, err)
		}
	}
	if a, b := run("alice", "guess", right), run("bob", "secret", right); a.Error() != b.Error() {
		t.Errorf("a wrong password is told as %q, an unknown user as %q", a, b)
	}
}

// TestUnknownUsersHaveSalt: the same at each try, and none that says that they are not there.
func TestUnknownUsersHaveSalt(t *testing.T) {
	t.Parallel()
	first := func(user string) string {
		answer, _, _, err := begin(t, ScramSHA512, only("alice", "secret")).Step([]byte("n,,n=" + user + ",r=x"))
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	bob, again, carol := first("bob"), first("bob"), first("carol")
	if bob != again || bob == carol {
		t.Errorf("%s, %s, %s", bob, again, carol)
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for message, ok := range map[string]bool{
		"\x00alice\x00secret": true, "alice\x00alice\x00secret": true, "\x00alice\x00wrong": false, "\x00bob\x00secret": false,
		"bob\x00alice\x00secret": false, "": false, "alice": false, "\x00alice\x00": false, "\x00\x00secret": false, "\x00alice\x00secret\x00": false,
	} {
		_, done, user, err := begin(t, Plain, only("alice", "secret")).Step([]byte(message))
		if done != ok || (err == nil) != ok || ok && user != "alice" || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, %q, %v", message, done, user, err)
		}
	}
	for _, m := range []Mechanism{SHA256, SHA512} { // a client that makes a user may choose one
		c := CredentialOf(m, MinIterations, []byte("salt"), "secret")
		find := func(_ string, asked Mechanism) (Credential, bool) { return c, asked == m }
		if _, done, _, err := begin(t, Plain, find).Step([]byte("\x00alice\x00secret")); !done || err != nil {
			t.Errorf("a user with %v alone: %v", m, err)
		}
	}
	if _, ok := NewExchange("GSSAPI", nil, "", nil); ok {
		t.Error("GSSAPI")
	}
}

// FuzzExchange: messages of any form neither panic nor succeed.
func FuzzExchange(f *testing.F) {
	f.Add("n,,n=alice,r=x", "c=biws,r=xserver,p=AAAA")
	f.Add("\x00alice\x00guess", "")
	find := func(string, Mechanism) (Credential, bool) {
		return Credential{Mechanism: SHA256, Iterations: 1, Salt: []byte("s"), StoredKey: make([]byte, 32), ServerKey: make([]byte, 32)}, true
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		for _, name := range []string{Plain, ScramSHA256} {
			x := begin(t, name, find)
			for _, m := range []string{first, second} {
				if _, done, _, err := x.Step([]byte(m)); done {
					t.Fatalf("%s: %q, %q succeeds", name, first, second)
				} else if err != nil {
					break
				}
			}
		}
	})
}

// TestPretendedIterations: a user who is not there answers as those who are.
func TestPretendedIterations(t *testing.T) {
	t.Parallel()
	for hint, want := range map[int32]string{0: ",i=4096", 8192: ",i=8192"} {
		find := func(string, Mechanism) (Credential, bool) { return Credential{Iterations: hint}, false }
		answer, _, _, err := begin(t, ScramSHA512, find).Step([]byte("n,,n=nobody,r=x"))
		if err != nil || !strings.HasSuffix(string(answer), want) {
			t.Errorf("%s, %v", answer, err)
		}
	}
}
