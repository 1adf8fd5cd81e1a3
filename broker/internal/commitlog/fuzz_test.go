package commitlog

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FuzzDecodeEntry: no input makes the decoder panic, and what it accepts it encodes to something that means the same.
func FuzzDecodeEntry(f *testing.F) {
	tp := TopicPartition{TopicID{1, 2, 3}, 4}
	raw := plain(2, 10).raw()
	topic := Topic{ID: TopicID{9}, Name: "t", Partitions: 3, Configs: map[string]string{"cleanup.policy": "compact"}}
	for _, e := range []entry{
		{records: []Record{{1, []byte("one")}, {2, nil}}},
		{begins: []Begin{{tp, 5, 6}}, markers: []placedMarker{{Marker: Marker{tp, 5, 6, 7, true}, offset: 8, timestamp: 9}}},
		{create: &topic}, {delete: &topic.ID}, {expire: &expireChange{tp, []int64{1, 2}}},
	} {
		f.Add(e.encode(nil))
	}
	e := entry{append: &appendChange{TopicPartition: tp, begin: true, time: 5}, records: []Record{{1, []byte("r")}}}
	f.Add(append(e.encode(nil), raw...))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEntry(b)
		if err != nil {
			return
		}
		again := e.encode(nil)
		if e.append != nil {
			again = append(again, e.append.raw...)
		}
		e2, err := decodeEntry(again)
		if err != nil || !bytes.Equal(e2.encode(nil), e.encode(nil)) {
			t.Fatalf("%+v becomes %+v, %v", e, e2, err)
		}
	})
}

// FuzzDecodeIndex: as above, for an index file.
func FuzzDecodeIndex(f *testing.F) {
	x := segmentIndex{aborted: []abortedTxn{{1, 2, 3}}}
	for i := range 3 {
		x.add(&tailBatch{base: int64(100 + i), next: int64(101 + i), maxTime: 5, raw: plain(1, 10).raw()}, int64(i)*indexInterval)
	}
	f.Add(encodeIndexFile(&x, 100, 1<<20)[indexHeaderSize:])
	f.Fuzz(func(t *testing.T, body []byte) {
		r := reader{b: body}
		r.uvarint()
		r.uvarint()
		x := readIndex(&r, 100)
		if r.err != nil {
			return
		}
		file := encodeIndexFile(x, 100, 1<<60)
		if y, err := decodeIndexFile(file, 100, 1<<60); err == nil && !reflect.DeepEqual(x.aborted, y.aborted) {
			t.Fatalf("%+v becomes %+v", x, y)
		}
		if _, err := decodeIndexFile(body, 100, 1<<20); err == nil {
			t.Log("the body is an index file too")
		}
		x.block(150)
		x.blockFrom(0, 5)
	})
}

// FuzzLoadSnapshot loads anything as a snapshot's body.
func FuzzLoadSnapshot(f *testing.F) {
	fs := vfs.NewMem()
	cfg := testConfig(fs)
	l, err := Open(ctx, cfg, machineMap([]Machine{newTxnMachine()}))
	if err != nil {
		f.Fatal(err)
	}
	topic := create(f, l, "t", 2, map[string]string{"cleanup.policy": "compact"})
	idempotent(1, 2, 0, 3).append(f, l, l.Partition(topic.ID, 0))
	transactional(2, 0, 0, 1).append(f, l, l.Partition(topic.ID, 1))
	if err := l.Close(); err != nil {
		f.Fatal(err)
	}
	b, err := readWhole(fs, "data/snapshot")
	if err != nil {
		f.Fatal(err)
	}
	version, body, err := snapshotBody(b)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(version, body)
	f.Fuzz(func(t *testing.T, version byte, body []byte) {
		l := &Log{cfg: cfg.withDefaults(), catalog: newCatalog(), machines: machineMap([]Machine{newTxnMachine()}), topicsDir: "topics"}
		l.files = newFiles(fs)
		if _, err := l.loadSnapshot(version, body); err != nil {
			return
		}
		for _, p := range l.catalog.partitions() {
			p.appendStateLocked(nil)
			p.appendSegmentsLocked(nil)
		}
	})
}
