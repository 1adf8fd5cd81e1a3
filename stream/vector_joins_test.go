package stream_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
)

// The programs about stream-stream joins.

func rightOnly(l, r serde.Maybe[str]) str          { return joined(l.Or(nil), r.Or(nil)) }
func outer3(k str, l, r serde.Maybe[str]) str      { return of(s(k) + ":" + s(rightOnly(l, r))) }
func inner3(k, l, r str) str                       { return of(s(k) + ":" + s(joined(l, r))) }
func leftWithKey(_, l str, r serde.Maybe[str]) str { return left(l, r) }

func (p *play) within() window.Join {
	return window.Within(p.millis(p.v.Params.Diff)).Grace(p.millis(p.v.Params.Grace))
}

func (p *play) asymmetric() window.Join {
	return p.within().Before(p.millis(p.v.Params.Before)).After(p.millis(p.v.Params.After))
}

// interval returns the recorded throttle of the wall clock.
func (p *play) interval(name string) time.Duration {
	n, err := strconv.ParseInt(string(p.v.Config["__emit.interval.ms.kstreams."+name+"__"]), 10, 64)
	if err != nil {
		return 0
	}
	return p.millis(n)
}

// joining returns the settings of a join with the recorded throttle.
func (p *play) joining() stream.StreamJoined[str, str, str] {
	return stream.StreamJoinedWith(texts, texts, texts).EmitInterval(p.interval("outer.join.spurious.results.fix"))
}

// shows has the stores of a join shown.
func (p *play) shows(w window.Join, this, other, shared string) {
	for _, name := range []string{this, other} {
		p.stores[name] = joinContent(name, w.Size())
		p.seen[name] = func(d *topologytest.Driver) int64 {
			newest, _ := topologytest.StoreOf[*state.JoinWindow[str, str]](d, name).Newest()
			return newest - (w.Size() + w.GracePeriod()).Milliseconds()
		}
	}
	if shared != "" {
		p.stores[shared] = parkedContent(shared)
	}
}

func joinContent(name string, size time.Duration) func(*topologytest.Driver) [][]any {
	return func(d *topologytest.Driver) [][]any {
		var rows [][]any
		err := topologytest.StoreOf[*state.JoinWindow[str, str]](d, name).All(func(k, v str, at int64) error {
			rows = append(rows, []any{fmt.Sprintf("%s@%d/%d", text(k), at, at+size.Milliseconds()), text(v)})
			return nil
		})
		if err != nil {
			return [][]any{{err}}
		}
		return byKey(rows)
	}
}

// parkedContent shows the last value of each key of a changelog, since the store's types are not exported.
func parkedContent(name string) func(*topologytest.Driver) [][]any {
	return func(d *topologytest.Driver) [][]any {
		last, keys := map[string][]byte{}, []string{}
		for _, r := range d.Records("app-" + name + "-changelog") {
			if _, ok := last[string(r.Key)]; !ok {
				keys = append(keys, string(r.Key))
			}
			last[string(r.Key)] = r.Value
		}
		var rows [][]any
		for _, k := range sortedStrings(keys) {
			side := map[byte]string{1: "left", 0: "right"}[k[8]]
			list := last[k]
			if len(list) == 0 {
				continue
			}
			for list = list[5:]; len(list) > 0; {
				n := binary.BigEndian.Uint32(list)
				rows = append(rows, []any{
					fmt.Sprintf("%s:%s@%d", side, k[9:], binary.BigEndian.Uint64([]byte(k[:8]))), fmt.Sprintf("%s:%s", side, list[5:4+n]),
				})
				list = list[4+n:]
			}
		}
		return rows
	}
}

var joinPrograms = map[string]program{
	"ss-inner": {build: func(p *play) {
		p.shows(p.within(), "js-this-join-store", "js-other-join-store", "")
		l := p.from("l")
		to(stream.Join(l, p.from("r"), joined, p.within(), p.joining().Named("j").StoresNamed("js")), "out")
	}},
	"ss-inner-asymmetric": {build: func(p *play) {
		p.shows(p.asymmetric(), "KSTREAM-JOINTHIS-0000000004-store", "KSTREAM-JOINOTHER-0000000005-store", "")
		l := p.from("l")
		to(stream.JoinWithKey(l, p.from("r"), inner3, p.asymmetric()), "out")
	}},
	"ss-inner-negative-before": {build: func(p *play) {
		w := window.Within(0).Grace(p.millis(p.v.Params.Grace)).After(p.millis(p.v.Params.Max)).Before(-p.millis(p.v.Params.Min))
		p.shows(w, "KSTREAM-JOINTHIS-0000000004-store", "KSTREAM-JOINOTHER-0000000005-store", "")
		l := p.from("l")
		to(stream.Join(l, p.from("r"), joined, w), "out")
	}},
	"ss-left": {build: func(p *play) {
		p.shows(p.within(), "js-this-join-store", "js-outer-other-join-store", "js-left-shared-join-store")
		l := p.from("l")
		to(stream.LeftJoin(l, p.from("r"), left, p.within(), p.joining().Named("j").StoresNamed("js")), "out")
	}},
	"ss-left-asymmetric": {build: func(p *play) {
		p.shows(p.asymmetric(), "KSTREAM-JOINTHIS-0000000004-store", "KSTREAM-OUTEROTHER-0000000005-store", "KSTREAM-OUTERSHARED-0000000004-store")
		l := p.from("l")
		to(stream.LeftJoin(l, p.from("r"), left, p.asymmetric(), p.joining()), "out")
	}},
	"ss-left-repartition": {build: func(p *play) {
		p.shows(p.within(), "KSTREAM-JOINTHIS-0000000008-store", "KSTREAM-OUTEROTHER-0000000009-store", "KSTREAM-OUTERSHARED-0000000008-store")
		l := stream.SelectKey(p.from("l"), firstCharacter)
		to(stream.LeftJoin(l, p.from("r"), left, p.within(), p.joining().Named("j")), "out")
	}},
	"ss-outer": {build: func(p *play) {
		p.shows(p.within(), "js-outer-this-join-store", "js-outer-other-join-store", "js-outer-shared-join-store")
		l := p.from("l")
		to(stream.OuterJoin(l, p.from("r"), rightOnly, p.within(), p.joining().Named("j").StoresNamed("js")), "out")
	}},
	"ss-outer-asymmetric": {build: func(p *play) {
		p.shows(p.asymmetric(), "KSTREAM-OUTERTHIS-0000000004-store", "KSTREAM-OUTEROTHER-0000000005-store", "KSTREAM-OUTERSHARED-0000000004-store")
		l := p.from("l")
		to(stream.OuterJoinWithKey(l, p.from("r"), outer3, p.asymmetric(), p.joining()), "out")
	}},
	"ss-outer-throttled": {build: func(p *play) {
		p.shows(p.within(), "KSTREAM-OUTERTHIS-0000000004-store", "KSTREAM-OUTEROTHER-0000000005-store", "KSTREAM-OUTERSHARED-0000000004-store")
		l := p.from("l")
		to(stream.OuterJoin(l, p.from("r"), rightOnly, p.within(), p.joining()), "out")
	}},
	"ss-chain": {build: func(p *play) {
		p.shows(p.within(), "KSTREAM-JOINTHIS-0000000004-store", "KSTREAM-JOINOTHER-0000000005-store", "")
		p.shows(p.within(), "KSTREAM-JOINTHIS-0000000010-store", "KSTREAM-OUTEROTHER-0000000011-store", "KSTREAM-OUTERSHARED-0000000010-store")
		l, r := p.from("l"), p.from("r")
		first := stream.Join(l, r, joined, p.within())
		to(stream.LeftJoinWithKey(first, p.from("x"), leftWithKey, p.within(), p.joining()), "out")
	}},
	"ss-self-join": {build: func(p *play) {
		p.shows(p.within(), "KSTREAM-JOINTHIS-0000000003-store", "KSTREAM-JOINOTHER-0000000004-store", "")
		in := p.from("in")
		to(stream.Join(in, in, joined, p.within()), "out")
	}},
}

// byKey sorts rows of windows by key, then by their order.
func byKey(rows [][]any) [][]any {
	slices.SortStableFunc(rows, func(a, b []any) int {
		ka, _, _ := strings.Cut(a[0].(string), "@")
		kb, _, _ := strings.Cut(b[0].(string), "@")
		return strings.Compare(ka, kb)
	})
	return rows
}

func sortedStrings(list []string) []string {
	slices.Sort(list)
	return list
}
