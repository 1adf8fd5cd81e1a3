package stream_test

import (
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

var errFull = errors.New("full")

// printout takes what is printed, a line with each write, and refuses lines with a word.
type printout struct {
	got    []string
	refuse string
}

func (l *printout) Write(b []byte) (int, error) {
	if l.refuse != "" && strings.Contains(string(b), l.refuse) {
		return 0, errFull
	}
	l.got = append(l.got, string(b))
	return len(b), nil
}

// TestPrint: a line for each record, null for what is null, what pointers point to, by their own String if they have one; a function that could not be given a null value is not called, and
// a writer's error is a failure of the node (D-18).
func TestPrint(t *testing.T) {
	t.Parallel()
	var all, pointers, raw, loud, named, numbers printout
	named.refuse = "bad"
	b := stream.NewBuilder()
	words := from(b, "words")
	words.Print(&all)
	words.PrintFunc(&loud, func(k, v string) string { return k + "=" + v }, stream.Label("loud"))
	words.Print(&named, stream.Named("printer"), stream.Label(""))
	stream.From(b, "texts", serde.Nullable(serde.String), serde.Nullable(serde.String)).Print(&pointers, stream.Label("p"))
	stream.From(b, "bytes", serde.Bytes, serde.Bytes).Print(&raw, stream.Label("r"))
	big := stream.MapValues(stream.From(b, "numbers", serde.String, serde.Int64), big.NewInt)
	big.Print(&numbers, stream.Label("n"))
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	d := topologytest.New(t, top, topologytest.OnProcessing(func(f topologytest.Failure) topologytest.Response {
		if errors.Is(f.Err, errFull) {
			failed = append(failed, f.Node)
		}
		return topologytest.Continue
	}))
	pipe := func(topic string, key, value []byte) {
		if err := d.TryPipeRaw(topic, topology.Raw{Key: key, Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	for _, topic := range []string{"words", "texts", "bytes"} {
		pipe(topic, []byte("a"), []byte("1"))
		pipe(topic, nil, []byte("2"))
		pipe(topic, []byte("c"), nil)
	}
	pipe("words", []byte("d"), []byte("bad"))
	pipe("numbers", []byte("a"), []byte{7: 5})
	for _, c := range []struct {
		name      string
		got, want []string
	}{
		{"words", all.got, []string{"[KSTREAM-SOURCE-0000000000]: a, 1\n", "[KSTREAM-SOURCE-0000000000]: null, 2\n",
			"[KSTREAM-SOURCE-0000000000]: c, null\n", "[KSTREAM-SOURCE-0000000000]: d, bad\n"}},
		{"a function", loud.got, []string{"[loud]: a=1\n", "[loud]: =2\n", "[loud]: d=bad\n"}},
		{"pointers", pointers.got, []string{"[p]: a, 1\n", "[p]: null, 2\n", "[p]: c, null\n"}},
		{"bytes", raw.got, []string{"[r]: a, 1\n", "[r]: null, 2\n", "[r]: c, null\n"}},
		{"pointers that show themselves", numbers.got, []string{"[n]: a, 5\n"}},
		{"a writer that fails", named.got, []string{"[]: a, 1\n", "[]: null, 2\n", "[]: c, null\n"}},
		{"failures", failed, []string{"printer"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
	if got := d.Dropped(); got != 2 { // the null value that f cannot be given, and what the writer refused
		t.Errorf("%d records dropped, want 2: %v", got, d.Drops())
	}

	b = stream.NewBuilder()
	from(b, "in").Print(nil)
	from(b, "in").PrintFunc(&all, nil)
	_, err = b.Topology()
	for _, want := range []string{"node KSTREAM-PRINTER-0000000001: the writer is nil", "node KSTREAM-PRINTER-0000000003: the function is nil"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %s", err, want)
		}
	}
}
