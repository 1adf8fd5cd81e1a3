package stream_test

import (
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
)

const ten = 10 * time.Millisecond

var streamJoined = stream.StreamJoinedWith(serde.String, serde.String, serde.String)

func both(l, r string) string                       { return l + r }
func bothOr(l string, r serde.Maybe[string]) string { return l + r.Or("") }
func either(l, r serde.Maybe[string]) string        { return l.Or("") + r.Or("") }

func namesStreamJoins(b *stream.Builder) {
	l := from(b, "l")
	r := from(b, "r")
	w := window.Within(ten).Grace(ten)
	toText(stream.Join(stream.SelectKey(l, value), r, both, w, streamJoined), "out1")
	toText(stream.LeftJoin(l, r, bothOr, w), "out2")
	toText(stream.OuterJoin(l, r, either, w), "out3")
}

func namesStreamJoinsNamed(b *stream.Builder) {
	l := from(b, "l")
	r := from(b, "r")
	w := window.Within(ten).Grace(ten)
	toText(stream.Join(stream.SelectKey(l, value), stream.SelectKey(r, value), both, w, streamJoined.StoresNamed("store1").Named("join1")), "out1")
	toText(stream.LeftJoin(l, r, bothOr, w, streamJoined.Named("join2")), "out2")
	toText(stream.OuterJoin(l, r, either, w, streamJoined.StoresNamed("store3")), "out3")
	toText(stream.OuterJoin(l, r, either, w, streamJoined.StoresNamed("store4").Named("join4")), "out4")
}
