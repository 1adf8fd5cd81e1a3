package group

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestConsumerProtocol compares with the bytes of an independent client (franz-go's kmsg).
func TestConsumerProtocol(t *testing.T) {
	t.Parallel()
	rack := "r"
	for version := range int16(4) {
		theirs := kmsg.NewConsumerMemberMetadata()
		theirs.Version, theirs.Topics, theirs.UserData, theirs.Generation, theirs.Rack = version, []string{"t", "u"}, []byte("user"), 7, &rack
		theirs.OwnedPartitions = []kmsg.ConsumerMemberMetadataOwnedPartition{{Topic: "t", Partitions: []int32{0, 2}}}
		want := subscription{version: version, topics: []string{"t", "u"}}
		if version >= 1 {
			want.owned = []namedPartitions{{"t", []int32{0, 2}}}
		}
		if version >= 3 {
			want.rack = rack
		}
		b := theirs.AppendTo(nil)
		if got, ok := decodeSubscription(b); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("version %d: %+v, %v, want %+v", version, got, ok, want)
		}
		for n := range len(b) {
			if got, ok := decodeSubscription(b[:n]); ok {
				t.Errorf("version %d, %d of %d bytes: %+v", version, n, len(b), got)
			}
		}
	}
	later := kmsg.NewConsumerMemberMetadata()
	later.Version, later.Topics = 3, []string{"t"}
	b := append(later.AppendTo(nil), "what version 9 has"...)
	b[1] = 9
	if s, ok := decodeSubscription(b); !ok || s.version != 9 || len(s.topics) != 1 {
		t.Errorf("a later version: %+v, %v", s, ok)
	}
	b[0] = 0x80
	if s, ok := decodeSubscription(b); ok {
		t.Errorf("a negative version: %+v", s)
	}
	for version, want := range map[int16]int16{-1: 0, 0: 0, 2: 2, 3: 3, 9: 3} {
		theirs := kmsg.NewConsumerMemberAssignment()
		theirs.Version = want
		theirs.Topics = []kmsg.ConsumerMemberAssignmentTopic{{Topic: "t", Partitions: []int32{0, 2}}, {Topic: "u", Partitions: []int32{1}}}
		assigned := []namedPartitions{{"t", []int32{0, 2}}, {"u", []int32{1}}}
		b := encodeAssignment(version, assigned)
		if !bytes.Equal(b, theirs.AppendTo(nil)) {
			t.Errorf("version %d: % x, kmsg has % x", version, b, theirs.AppendTo(nil))
		}
		if got, custom, ok := decodeAssignment(b); !ok || custom || !reflect.DeepEqual(got, assigned) {
			t.Errorf("version %d: %v, %v, %v", version, got, custom, ok)
		}
		theirs.UserData = []byte{1}
		if _, custom, ok := decodeAssignment(theirs.AppendTo(nil)); !ok || !custom {
			t.Errorf("user data is not seen: %v, %v", custom, ok)
		}
	}
}

// FuzzDecodeSubscription: no bytes of a client make a decoder panic, or take memory out of proportion. What an assignment says can be
// written and read again.
func FuzzDecodeSubscription(f *testing.F) {
	for version := range int16(4) {
		s := kmsg.NewConsumerMemberMetadata()
		s.Version, s.Topics = version, []string{"t", "u"}
		s.OwnedPartitions = []kmsg.ConsumerMemberMetadataOwnedPartition{{Topic: "t", Partitions: []int32{0, 2}}}
		f.Add(s.AppendTo(nil))
	}
	f.Add(encodeAssignment(3, []namedPartitions{{"t", []int32{0, 1}}}))
	f.Add([]byte{0, 1, 0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _ := decodeSubscription(b)
		partitions := 0
		for _, o := range s.owned {
			partitions += len(o.partitions)
		}
		if most := 2*len(s.topics) + 6*len(s.owned) + 4*partitions; most > len(b) {
			t.Errorf("%d topics, %d owned of %d from %d bytes", len(s.topics), partitions, len(s.owned), len(b))
		}
		assigned, _, ok := decodeAssignment(b)
		if !ok {
			return
		}
		again, custom, ok := decodeAssignment(encodeAssignment(3, assigned))
		if !ok || custom || !reflect.DeepEqual(again, assigned) {
			t.Errorf("%v, read again %v", assigned, again)
		}
	})
}
