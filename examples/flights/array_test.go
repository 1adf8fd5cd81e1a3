package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func readArray(r io.Reader) (elements []string, err error) {
	a := newArrayReader("f.json", r)
	for {
		raw, err := a.Next()
		if errors.Is(err, io.EOF) {
			return elements, nil
		}
		if err != nil {
			return elements, err
		}
		elements = append(elements, string(raw))
	}
}

func TestArrayReaderYieldsElementsAsTheyStand(t *testing.T) {
	t.Parallel()
	in := " [ {\"a\": 1 , \"b\":[2]},null,\n3.50, \"x\\u0041\", [ ], true ]\n\n"
	want := []string{`{"a": 1 , "b":[2]}`, "null", "3.50", `"x\u0041"`, "[ ]", "true"}
	for name, r := range map[string]io.Reader{
		"whole":        strings.NewReader(in),
		"byte by byte": iotest.OneByteReader(strings.NewReader(in)),
	} {
		got, err := readArray(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got, err := readArray(strings.NewReader("[]")); err != nil || len(got) != 0 {
		t.Errorf("empty array: %q, %v", got, err)
	}
}

func TestArrayReaderSaysWhereItIsNoArray(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"", "offset 0: the file is empty"},
		{"{\"a\":1}", "offset 1: found {"},
		{"hello", "offset 1: invalid character 'h'"},
		{"17", `found 17 where "[" should be`},
		{"[1, 2", "offset 5: the file ends here"},
		{"[{\"a\":", "offset 6: the file ends here"},
		{"[1 2]", "offset 3: "},
		{"[1,]", "offset 3: invalid character ']'"},
		{"[1}", "offset 2: "},
		{"[1] [2]", "the file goes on after the array"},
		{"[1] x", "invalid character 'x'"},
	} {
		_, err := readArray(strings.NewReader(c.in))
		if err == nil {
			t.Errorf("%q: no error", c.in)
			continue
		}
		for _, part := range []string{"f.json", "is not a JSON array", c.want, "-data"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: error %q does not say %q", c.in, err, part)
			}
		}
	}
}

func TestArrayReaderBoundsAnElement(t *testing.T) {
	t.Parallel()
	fits := `"` + strings.Repeat("a", maxElementBytes-2) + `"`
	if got, err := readArray(strings.NewReader("[" + fits + "," + fits + "]")); err != nil || len(got) != 2 {
		t.Errorf("two elements of the greatest length: %d, %v", len(got), err)
	}
	if _, err := readArray(strings.NewReader(`["a` + fits[1:] + "]")); !errors.Is(err, errTooLong) {
		t.Errorf("an element one byte too long: %v", err)
	}
	endless := io.MultiReader(strings.NewReader(`["`), endlessReader{})
	if _, err := readArray(endless); !errors.Is(err, errTooLong) {
		t.Errorf("an element without end: %v", err)
	}
}

func TestArrayReaderTellsAFaultOfTheDiskFromOneOfTheFile(t *testing.T) {
	t.Parallel()
	disk := errors.New("disk gone")
	_, err := readArray(io.MultiReader(strings.NewReader("[1,"), iotest.ErrReader(disk)))
	if !errors.Is(err, disk) || strings.Contains(err.Error(), "not a JSON array") {
		t.Errorf("got %v", err)
	}
}

// endlessReader is a string that never ends.
type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}
