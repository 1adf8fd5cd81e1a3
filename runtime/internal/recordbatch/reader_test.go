package recordbatch

import (
	"testing"

	"github.com/millrace-io/millrace/topology"
)

// A record is read if it is just as long as it says, and never past its end.
func TestReadRecord(t *testing.T) {
	t.Parallel()
	sound := []byte{0, 0, 0, 1, 1, 0} // attributes, time, offset, null, null, no headers
	for what, tc := range map[string]struct {
		src []byte
		ok  bool
	}{
		"sound":                    {append([]byte{12}, sound...), true},
		"another behind it":        {append([]byte{12}, append(sound, 12, 0)...), true},
		"a byte too many":          {append([]byte{14}, append(sound, 0)...), false},
		"cut off":                  {append([]byte{12}, sound[:5]...), false},
		"nothing":                  {nil, false},
		"negative length":          {append([]byte{1}, sound...), false},
		"negative number":          {[]byte{12, 0, 0, 0, 1, 1, 1}, false},
		"headers that do not fit":  {[]byte{16, 0, 0, 0, 1, 1, 4, 2, 'h'}, false},
		"a header that just fits":  {[]byte{16, 0, 0, 0, 1, 1, 2, 0, 1}, true},
		"a key longer than record": {[]byte{12, 0, 0, 0, 8, 1, 0}, false},
	} {
		var rec record
		if _, ok := readRecord(tc.src, &rec); ok != tc.ok {
			t.Errorf("%s: %v", what, ok)
		}
	}
	for n := range sound {
		if _, ok := readRecord(append([]byte{byte(2 * n)}, sound[:n]...), new(record)); ok {
			t.Errorf("a record of %d bytes is read", n)
		}
	}
}

// Headers have keys, and fill the record.
func TestReadHeaders(t *testing.T) {
	t.Parallel()
	for what, tc := range map[string]struct {
		headers []byte
		ok      bool
	}{
		"sound":           {[]byte{2, 'h', 2, 'v', 0, 1}, true},
		"a null key":      {[]byte{2, 'h', 2, 'v', 1, 1}, false},
		"a byte too many": {[]byte{2, 'h', 2, 'v', 0, 1, 0}, false},
		"cut off":         {[]byte{2, 'h', 2, 'v', 0}, false},
	} {
		if _, ok := new(Reader).readHeaders(&record{headerCount: 2, headers: tc.headers}); ok != tc.ok {
			t.Errorf("%s: %v", what, ok)
		}
	}
}

// What is behind the batches that were read is where to go on, with the epoch of the last one; a log that answers with older batches
// takes nobody back.
func TestEnd(t *testing.T) {
	t.Parallel()
	set := join(batchOf(t, 0, NoProducer, "a", "b"), at(batchOf(t, 2, NoProducer, "c"), 2, 5))
	for from, want := range map[int64]int64{0: 3, 2: 3, 3: 3, 50: 50} {
		r, err := NewReader(Fetched{Records: set, From: from})
		if err != nil || r.End() != want || r.LastEpoch() != 5 || r.LeaderEpoch() != -1 {
			t.Errorf("from %d: end %d, epochs %d and %d, %v", from, r.End(), r.LastEpoch(), r.LeaderEpoch(), err)
		}
	}
}

// Who appends to what a record consists of changes no other.
func TestSlicesAreApart(t *testing.T) {
	t.Parallel()
	b := NewBuilder(0, 0)
	for range 2 {
		if err := b.Append([]byte("key"), []byte("value"), 0, []topology.Header{{Key: "h", Value: []byte("v")}}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := NewReader(Fetched{Records: b.Finish(NoProducer)})
	if err != nil {
		t.Fatal(err)
	}
	r.headers = make([]topology.Header, 0, 8)
	var one, two topology.Raw
	if ok, err := r.Next(&one); !ok || err != nil {
		t.Fatal(ok, err)
	}
	_ = append(one.Key, "----------------"...)
	mine := append(one.Headers, topology.Header{Key: "mine"})
	if ok, err := r.Next(&two); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if string(one.Value) != "value" || string(two.Key) != "key" || mine[1].Key != "mine" || two.Headers[0].Key != "h" {
		t.Errorf("%q, %q, %v, %v", one.Value, two.Key, mine, two.Headers)
	}
}

// A control batch that is no marker, or none that is known, is left out like any other.
func TestShortMarker(t *testing.T) {
	t.Parallel()
	p := Producer{ID: 1, Transactional: true}
	for n := range 4 {
		b := NewBuilder(0, 0)
		if err := b.Append(make([]byte, n), nil, 0, nil); err != nil {
			t.Fatal(err)
		}
		control := at(b.Finish(p), 1, 3)
		control[posAttributes+1] |= attrControl
		got, r, err := readAllRecords(t, Fetched{Records: join(batchOf(t, 0, p, "v"), seal(control)), ReadCommitted: true, Aborted: []Aborted{{ProducerID: 1}}})
		if err != nil || len(got) != 0 || r.End() != 2 {
			t.Errorf("a key of %d bytes: %v, %v", n, got, err)
		}
	}
}
