package commit

import (
	"reflect"
	"testing"
)

// The time of the next record goes with the operators' times, and costs nothing where it is not known (DESIGN D18).
func TestMetadataNext(t *testing.T) {
	t.Parallel()
	for _, m := range []Metadata{
		{PartitionTime: 5, Next: 7, HasNext: true},
		{PartitionTime: -1, Next: 0, HasNext: true},
		{PartitionTime: 5, Next: 7, HasNext: true, Times: map[string]int64{"store": 3, "other": 4}},
		{PartitionTime: 5, Times: map[string]int64{"store": 3}},
		{PartitionTime: 5},
	} {
		text, left := m.Encode()
		got, err := DecodeMetadata(text)
		if len(got.Times) == 0 {
			got.Times = nil
		}
		if err != nil || left != 0 || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v became %+v, %d left, %v", m, got, left, err)
		}
	}
	short, _ := Metadata{PartitionTime: 5}.Encode()
	if len(short) != 12 {
		t.Errorf("%q", short)
	}
}
