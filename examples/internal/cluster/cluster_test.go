package cluster

import (
	"errors"
	"flag"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

var quiet = slog.New(slog.DiscardHandler)

func TestEmbedded(t *testing.T) {
	t.Parallel()
	var f Flags
	set := flag.NewFlagSet("test", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	f.Register(set)
	if err := set.Parse(nil); err != nil {
		t.Fatal(err)
	}
	l, err := f.Open(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	adm, err := kadm.NewOptClient(l.ClientOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	if brokers, err := adm.ListBrokers(t.Context()); err != nil || len(brokers) != 1 {
		t.Errorf("brokers %v, %v", brokers, err)
	}
	adm.Close()
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(l.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary directory is still there: %v", err)
	}
}

// TestOneProcessADirectory holds for both shapes: with -brokers it guards the state.
func TestOneProcessADirectory(t *testing.T) {
	t.Parallel()
	first := Flags{Dir: t.TempDir()}
	l, err := first.Open(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	for _, brokers := range []string{"", "127.0.0.1:1"} {
		second := Flags{Dir: first.Dir, Brokers: brokers}
		if _, err := second.Open(t.Context(), quiet); err == nil || !strings.Contains(err.Error(), "in use by another process") {
			t.Errorf("-brokers %q: %v", brokers, err)
		}
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := first.Open(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSeeds(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int{"": 0, " ": 0, "a:1": 1, "a:1, b:2,": 2} {
		f := Flags{Brokers: in}
		if got := f.seeds(); len(got) != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
