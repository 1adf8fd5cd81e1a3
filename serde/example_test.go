package serde_test

import (
	"fmt"
	"strconv"

	"github.com/millrace-io/millrace/serde"
)

func ExampleJSON() {
	type Airport struct {
		Code string `json:"code"`
		City string `json:"city"`
	}
	airports := serde.JSON[Airport]()
	b, err := airports.Append(nil, Airport{"DTW", "Detroit, MI"})
	fmt.Println(string(b), err)
	a, err := airports.Decode([]byte(`{"code":"LAS","city":"Las Vegas, NV","elevation":2181}`))
	fmt.Println(a.City, err)
	// Output:
	// {"code":"DTW","city":"Detroit, MI"} <nil>
	// Las Vegas, NV <nil>
}

func ExampleNew() {
	type Celsius float64
	celsius := serde.New(
		func(dst []byte, v Celsius) ([]byte, error) {
			return strconv.AppendFloat(dst, float64(v), 'g', -1, 64), nil
		},
		func(src []byte) (Celsius, error) {
			f, err := strconv.ParseFloat(string(src), 64)
			return Celsius(f), err
		})
	b, err := celsius.Append(nil, 21.5)
	fmt.Println(string(b), err)
	// Output: 21.5 <nil>
}

func ExampleNullable() {
	notes := serde.Nullable(serde.String)
	note, err := notes.Decode([]byte("gate changed"))
	fmt.Println(*note, err)
	_, err = notes.Append(nil, nil)
	fmt.Println(err)
	// Output:
	// gate changed <nil>
	// encode *string: nil stands for null and has no bytes
}
