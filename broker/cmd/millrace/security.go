package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/millrace-io/millrace/broker"
)

// securityFlags defines the flags of broker.Security. The function that it returns is for after they were read: it reads the files.
func securityFlags(fs *flag.FlagSet) func() (broker.Security, error) {
	var s broker.Security
	cert := fs.String("tls-cert", "", "`file` with the certificate of the listener and its chain (PEM): clients have to use TLS")
	key := fs.String("tls-key", "", "`file` with its key (PEM)")
	ca := fs.String("tls-client-ca", "", "`file` with the authorities (PEM) of which clients have to have a certificate")
	list := func(to *[]string) func(string) error {
		return func(v string) error {
			for e := range strings.SplitSeq(v, ",") {
				*to = append(*to, strings.TrimSpace(e))
			}
			return nil
		}
	}
	fs.Func("sasl", "`mechanisms` of which clients have to use one: PLAIN,SCRAM-SHA-256,SCRAM-SHA-512", list(&s.Mechanisms))
	users := fs.String("users", "", "`file` with a user in each line, as name:password; others are made by clients (kafka-configs)")
	fs.DurationVar(&s.SessionLifetime, "session-lifetime", 0, "after how `long` a client has to authenticate again (default never)")
	fs.BoolVar(&s.Authorize, "authorize", false, "check every request against access control lists (kafka-acls)")
	fs.Func("super-user", "`principal` that may do everything, such as User:admin; may be given more than once", func(v string) error {
		s.SuperUsers = append(s.SuperUsers, v)
		return nil
	})
	fs.BoolVar(&s.AllowIfNoACL, "allow-if-no-acl", false, "everybody may do everything with what no access control list is about")
	fs.BoolVar(&s.AllowInsecure, "allow-insecure", false, "listen on another than a loopback address without authentication, or take passwords there without TLS")
	fs.IntVar(&s.MaxConnectionsPerAddress, "max-connections-per-address", 0, "connections of one address that is not loopback (default 100, -1: no bound)")
	fs.IntVar(&s.MaxConnectionRate, "max-connection-rate", 0, "new connections a second of one such address (default 20, -1: no bound)")
	return func() (broker.Security, error) {
		var err error
		if s.TLS, err = readTLS(*cert, *key, *ca); err == nil && *users != "" {
			s.Users, err = readUsers(*users)
		}
		return s, err
	}
}

func readTLS(cert, key, ca string) (*tls.Config, error) {
	if cert == "" && key == "" && ca == "" {
		return nil, nil
	}
	if cert == "" || key == "" {
		return nil, usageError{"-tls-cert and -tls-key go together"}
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{pair}}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		cfg.ClientCAs, cfg.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate", ca)
		}
	}
	return cfg, nil
}

// readUsers reads users. An error does not show what is in the file.
func readUsers(path string) (users []broker.User, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for i, line := range strings.Split(string(raw), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, password, ok := strings.Cut(line, ":")
		if !ok || name == "" || password == "" {
			return nil, usageError{fmt.Sprintf("%s, line %d: want name:password", path, i+1)}
		}
		users = append(users, broker.User{Name: name, Password: password})
	}
	return users, nil
}
