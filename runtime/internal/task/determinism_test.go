package task_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// ticking is a merge of a and b whose node also fires on stream time, and holds every third record back until the flush.
func ticking() *topology.Builder {
	b := topology.NewBuilder()
	src := topology.AddSource(b, "source-a", "a", text{}, text{}).And(topology.AddSource(b, "source-b", "b", text{}, text{}))
	node := topology.AddProcessor(b, "node", func() *proc {
		var held []record
		p := ticker(50*time.Millisecond, topology.PunctuateStreamTime)
		p.process = func(ctx *topology.Context[string, string], r record) error {
			if len(r.Value)%3 == 0 {
				held = append(held, r)
				return nil
			}
			ctx.Forward(r)
			return nil
		}
		p.flush = func(ctx *topology.Context[string, string]) error {
			for _, r := range held {
				ctx.Forward(r)
			}
			held = nil
			return nil
		}
		return &p
	}, src)
	topology.AddSink(b, "sink", "out", text{}, text{}, node)
	return b
}

// words draws n records with event times that mostly rise.
func words(rng *rand.Rand, n int) []string {
	var list []string
	at := 0
	for i := range n {
		at = max(0, at+rng.IntN(20)-5)
		list = append(list, fmt.Sprintf("%d:k%d=%s@%d", i, rng.IntN(5), strings.Repeat("v", rng.IntN(5)), at))
	}
	return list
}

// What comes out depends on the records alone: not on how they are cut into batches, nor on how many a step takes.
func TestDeterminism(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		input := rand.New(rand.NewPCG(seed, 0))
		a, b := words(input, 100), words(input, 80)
		run := func(shape *rand.Rand) string {
			h := start(t, ticking())
			h.Lag(inA, true, 1) // more will come, until all is offered
			h.Lag(inB, true, 1)
			left := map[task.Input][]string{inA: a, inB: b}
			var out []string
			for len(left[inA])+len(left[inB]) > 0 {
				for _, in := range []task.Input{inA, inB} {
					n := shape.IntN(len(left[in]) + 1)
					h.offer(in.Topic, left[in][:n]...)
					if left[in] = left[in][n:]; len(left[in]) == 0 {
						h.Lag(in, true, 0)
					}
				}
				if _, _, err := h.Step(h.now, shape.IntN(10)); err != nil {
					t.Fatal(err)
				}
			}
			out = append(out, h.run())
			h.flush()
			return strings.Join(append(out, h.out.take()), "\n")
		}
		want := run(rand.New(rand.NewPCG(seed, 1)))
		if n := strings.Count(want, "tick="); n < 5 {
			t.Errorf("seed %d: %d punctuations", seed, n)
		}
		for shape := uint64(1); shape < 4; shape++ {
			if got := run(rand.New(rand.NewPCG(seed, shape))); got != want {
				t.Fatalf("seed %d, shape %d: got\n%s\nwant\n%s", seed, shape, got, want)
			}
		}
	}
}

// R-13 against a plain merge: of two inputs, each in offset order, the lower head time first.
func TestMergeOracle(t *testing.T) {
	t.Parallel()
	type rec struct {
		line string
		at   int
	}
	parseAll := func(words []string) (list []rec) {
		for _, w := range words {
			var r rec
			_, rest, _ := strings.Cut(w, ":")
			if _, err := fmt.Sscan(rest[strings.Index(rest, "@")+1:], &r.at); err != nil {
				t.Fatal(err)
			}
			r.line = "out-0 " + rest
			list = append(list, r)
		}
		return list
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		wordsA, wordsB := words(rng, 50), words(rng, 50)
		a, b := parseAll(wordsA), parseAll(wordsB)
		var want []string
		for len(a)+len(b) > 0 {
			from := &a
			if len(a) == 0 || len(b) > 0 && b[0].at < a[0].at {
				from = &b
			}
			want = append(want, (*from)[0].line)
			*from = (*from)[1:]
		}
		h := start(t, merged())
		h.offer("a", wordsA...)
		h.offer("b", wordsB...)
		h.Lag(inA, true, 0)
		h.Lag(inB, true, 0)
		got := strings.Split(h.run(), "\n")
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: got\n%v\nwant\n%v", seed, got, want)
		}
	}
}
