package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// goldenDir is a data directory that an earlier version left behind, killed.
const goldenDir = "../../testdata/golden/1"

// TestGolden compares what commands print with testdata.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]string{
		"help": "help", "help-broker": "help broker", "help-backup": "backup -h", "help-verify": "verify --help", "help-dump": "dump -help",
		"help-completion": "help completion",
		"bash":            "completion bash", "zsh": "completion zsh", "fish": "completion fish",
		"dump":      "dump -records " + goldenDir,
		"dump-json": "dump -o json " + goldenDir + "/snapshot " + goldenDir + "/journal/00000000000000000003.journal",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name, output(t, args))
		})
	}
}

// output runs a command and returns what it prints.
func output(t *testing.T, args string) string {
	t.Helper()
	var out, log bytes.Buffer
	if err := run(t.Context(), strings.Fields(args), &out, &log); err != nil || log.Len() > 0 {
		t.Fatalf("%s: %v\n%s", args, err, log.String())
	}
	return out.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%s, %v: got\n%s", path, err, got)
	}
}

// copyGolden copies the golden directory, which a check would lock.
func copyGolden(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(goldenDir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestVerify: a sound directory, a damaged one, one that is in use.
func TestVerify(t *testing.T) {
	t.Parallel()
	dir := copyGolden(t)
	golden(t, "verify", strings.ReplaceAll(output(t, "verify -dir "+dir), dir, "DIR"))
	golden(t, "verify-json", strings.ReplaceAll(output(t, "verify -o json -dir "+dir), dir, "DIR"))

	segments, err := filepath.Glob(filepath.Join(dir, "topics", "*", "*.log"))
	if err != nil || len(segments) != 4 {
		t.Fatal(segments, err)
	}
	for _, s := range segments[:2] {
		raw, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		raw[100] ^= 1
		if err := os.WriteFile(s, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	err = run(t.Context(), []string{"verify", "-dir", dir}, &out, &out)
	if err == nil || !strings.Contains(err.Error(), "2 faults") || status(err) != 1 {
		t.Errorf("damaged: %v", err)
	}
	golden(t, "verify-damaged", strings.ReplaceAll(out.String(), dir, "DIR"))

	lock, err := vfs.Default.Lock(filepath.Join(dir, "LOCK"))
	if err != nil {
		t.Fatal(err)
	}
	if err = run(t.Context(), []string{"verify", "-dir", dir}, &out, &out); !errors.Is(err, broker.ErrLocked) {
		t.Errorf("in use: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDumpOfWhatIsDamaged: dump shows a file as far as it goes, and says why it ends.
func TestDumpOfWhatIsDamaged(t *testing.T) {
	t.Parallel()
	dir := copyGolden(t)
	path := filepath.Join(dir, "journal", "00000000000000000003.journal")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw[:len(raw)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	got := output(t, "dump "+path)
	if lines := strings.Split(strings.TrimSpace(got), "\n"); len(lines) < 5 || !strings.HasPrefix(lines[len(lines)-1], "end position=") ||
		strings.HasSuffix(lines[len(lines)-1], `reason="end of the file"`) {
		t.Errorf("cut journal: %s", got)
	}
	snapshot := filepath.Join(dir, "snapshot")
	if raw, err = os.ReadFile(snapshot); err != nil {
		t.Fatal(err)
	}
	raw[50] ^= 1
	if err := os.WriteFile(snapshot, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"dump", snapshot}, &bytes.Buffer{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("damaged snapshot: %v", err)
	}
}

var silent = slog.New(slog.DiscardHandler)

// TestBackup: of a stopped directory, of one on which the command runs, and of one that a program has open by itself.
func TestBackup(t *testing.T) {
	t.Parallel()
	dir, to := copyGolden(t), t.TempDir()
	if got := output(t, "backup -dir "+dir+" -to "+to+"/stopped"); !strings.Contains(got, "sound=true") || !strings.Contains(got, "clean=true") {
		t.Errorf("stopped: %s", got)
	}
	addr, stop := startBroker(t, "-dir", dir)
	if info, err := os.Stat(filepath.Join(dir, controlName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is for others too: %v, %v", info, err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, "new"); err != nil {
		t.Fatal(err)
	}
	if got := output(t, "backup -o json -dir "+dir+" -to "+to+"/running"); !strings.Contains(got, `"sound":true`) || !strings.Contains(got, `"topics":3`) {
		t.Errorf("running: %s", got)
	}
	if got := output(t, "dump "+to+"/running"); !strings.Contains(got, "topic topic=new ") {
		t.Errorf("dump of the copy: %s", got)
	}
	if err := backup(t.Context(), dir, to+"/running", silent); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("twice: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := backup(ctx, dir, to+"/never", silent); err == nil {
		t.Error("cancelled")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, controlName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	b, err := broker.Open(t.Context(), broker.Config{Dir: dir, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	if err := backup(t.Context(), dir, to+"/own", silent); !errors.Is(err, broker.ErrLocked) || !strings.Contains(err.Error(), "Broker.Backup") {
		t.Errorf("a program's own: %v", err)
	}
}
