package commitlog

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/broker/internal/batch"
	"github.com/millrace-io/millrace/broker/internal/inspect"
)

// TestInspectMarkers: a marker says what it ends, and one that compaction has emptied says nothing. It is no fault.
func TestInspectMarkers(t *testing.T) {
	t.Parallel()
	marker := batch.AppendMarker(nil, batch.Marker{ProducerID: 1, Commit: true})
	header := func(raw []byte) *batch.Header {
		h, err := batch.ParseHeader(raw)
		if err != nil {
			t.Fatal(err)
		}
		return &h
	}
	for want, raw := range map[string][]byte{"batch marker": marker, "batch": batch.Empty(header(marker))} {
		var kinds []string
		x := Inspector{Records: true, Emit: func(it inspect.Item) error {
			kinds = append(kinds, it.Kind)
			return nil
		}}
		if err := x.batch(raw, header(raw)); err != nil || strings.Join(kinds, " ") != want {
			t.Errorf("%v, %v, want %s", kinds, err, want)
		}
	}
}
