package data_test

import (
	"encoding/json"
	"testing"

	"github.com/millrace-io/millrace/examples/flights/data"
)

func TestEmbeddedFilesAreWhole(t *testing.T) {
	t.Parallel()
	r, err := data.Flights()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var flights []json.RawMessage
	if err := json.NewDecoder(r).Decode(&flights); err != nil {
		t.Fatal(err)
	}
	if len(flights) != 20_000 {
		t.Errorf("%d flights, want 20000", len(flights))
	}
	airports, err := data.Airports()
	if err != nil {
		t.Fatal(err)
	}
	if len(airports) != 3_376 {
		t.Errorf("%d airports, want 3376", len(airports))
	}
	seen := make(map[string]bool, len(airports))
	for _, a := range airports {
		if a.IATA == "" || a.City == "" || a.State == "" || seen[a.IATA] {
			t.Errorf("airport %+v: an empty field, or seen before", a)
		}
		seen[a.IATA] = true
	}
}
