// Package data holds the input of the flights example: real flights of the first quarter of 2001 and the airports that they
// name. README.md beside it says where they come from.
package data

import (
	"bytes"
	_ "embed" // the files below
	"encoding/csv"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

//go:embed flights-20k.json.zst
var flights []byte

//go:embed airports.csv.zst
var airports []byte

// Flights opens the embedded flights: one JSON array of 20,000 objects. The caller closes it.
func Flights() (io.ReadCloser, error) { return open(flights) }

// Airport is one row of the airport list. City and State are "NA" where the list does not know them.
type Airport struct {
	IATA    string `json:"iata"`
	Name    string `json:"name"`
	City    string `json:"city"`
	State   string `json:"state"`
	Country string `json:"country"`
}

// Airports returns the embedded airports in the order of the list, by IATA code.
func Airports() ([]Airport, error) {
	r, err := open(airports)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read the embedded airports: %w", err)
	}
	list := make([]Airport, 0, len(rows))
	for _, row := range rows[1:] { // after the heading: iata,name,city,state,country,latitude,longitude
		list = append(list, Airport{IATA: row[0], Name: row[1], City: row[2], State: row[3], Country: row[4]})
	}
	return list, nil
}

func open(compressed []byte) (io.ReadCloser, error) {
	// One goroutine: the reader then starts none that a forgotten Close would leave behind.
	d, err := zstd.NewReader(bytes.NewReader(compressed), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("open the embedded data: %w", err)
	}
	return d.IOReadCloser(), nil
}
