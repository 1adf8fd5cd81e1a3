package api

import (
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/wire"
)

var update = flag.Bool("update", false, "rewrite PROTOCOL.md")

const protocolFile = "../../PROTOCOL.md"

const protocolHead = `# Protocol

What this broker serves of the Kafka protocol. Generated from the head comments of the files in ` + "`internal/api`" + `:
` + "`go test ./broker/internal/api -run TestProtocol -update`" + `.

A key that is not listed closes the connection that asks for it, as does a version that is not served; an unknown version of
ApiVersions is answered. Error codes are Kafka's.

| key | name | announced | served |
|---|---|---|---|
`

// TestProtocol compares PROTOCOL.md with what is served, and each file's head comment with its entry.
func TestProtocol(t *testing.T) {
	comments, keys := headComments(t), servedKeys()
	var doc, details strings.Builder
	doc.WriteString(protocolHead)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		entry, name := keys[k], apiName(k)
		head := fmt.Sprintf("%s, key %d, versions %d-%d.", name, k, entry.served.Min, entry.served.Max)
		comment, ok := comments[k]
		if !ok || !strings.HasPrefix(comment, head) {
			t.Errorf("the file of key %d does not open with %q", k, head)
		}
		fmt.Fprintf(&doc, "| %d | %s | %d-%d | %d-%d |\n", k, name, entry.announced.Min, entry.announced.Max, entry.served.Min, entry.served.Max)
		fmt.Fprintf(&details, "\n## %s (%d)\n\n%s", name, k, markdown(strings.TrimSpace(strings.TrimPrefix(comment, head))+"\n"))
	}
	doc.WriteString("\nFeatures (ApiVersions 3 and later):\n\n| feature | supported | finalized |\n|---|---|---|\n")
	for _, f := range features {
		fmt.Fprintf(&doc, "| `%s` | %d-%d | %d |\n", f.name, f.lowest, f.highest, f.finalized)
	}
	doc.WriteString(details.String())
	if *update {
		if err := os.WriteFile(protocolFile, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(protocolFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != doc.String() {
		t.Error("PROTOCOL.md is stale: run the test with -update")
	}
}

func apiName(key int16) string {
	return strings.NewReplacer("ProducerID", "ProducerId", "SASL", "Sasl", "ACL", "Acl", "SCRAM", "Scram").Replace(kmsg.NameForKey(key))
}

// headComments returns the comment that follows the package clause of each file NN_name.go, by key.
func headComments(t *testing.T) map[int16]string {
	t.Helper()
	files, err := filepath.Glob("[0-9][0-9]_*.go")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[int16]string)
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		var key int16
		if _, err := fmt.Sscanf(name, "%d_", &key); err != nil {
			t.Fatal(err)
		}
		if len(f.Comments) > 0 && len(f.Imports) > 0 && f.Comments[0].Pos() < f.Imports[0].Pos() {
			out[key] = f.Comments[0].Text()
		}
	}
	return out
}

// markdown turns a comment into markdown: its version list becomes a list.
func markdown(comment string) string {
	var b strings.Builder
	for _, line := range strings.SplitAfter(comment, "\n") {
		if version, what, ok := strings.Cut(strings.TrimPrefix(line, "\t"), " "); ok && strings.HasPrefix(line, "\t") {
			fmt.Fprintf(&b, "- %s: %s", version, strings.TrimLeft(what, " "))
			continue
		}
		b.WriteString(line)
	}
	return b.String()
}

// TestEveryVersionDecodes checks that the guard knows every key and version that is served.
func TestEveryVersionDecodes(t *testing.T) {
	a := New(Config{}, nil, nil)
	for k, entry := range a.keys {
		for v := entry.served.Min; v <= entry.served.Max; v++ {
			req := kmsg.RequestForKey(k)
			req.SetVersion(v)
			if r, ok := req.(*kmsg.ApiVersionsRequest); ok {
				r.ClientSoftwareName, r.ClientSoftwareVersion = "test", "1"
			}
			frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)[4:]
			got, err := wire.Decode(frame, a.Served)
			if err != nil || got.Body == nil || got.Body.GetVersion() != v {
				t.Errorf("key %d version %d: %v", k, v, err)
			}
		}
	}
}

// TestTopicConfigs checks that the log takes every config that is described, with its default.
func TestTopicConfigs(t *testing.T) {
	for i, c := range topicConfigs {
		if err := commitlog.CheckConfigs(map[string]string{c.name: c.fallback}); err != nil {
			t.Error(err)
		}
		if i > 0 && topicConfigs[i-1].name >= c.name {
			t.Errorf("%s is out of order", c.name)
		}
	}
}
