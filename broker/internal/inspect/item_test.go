package inspect

import (
	"strings"
	"testing"
)

func TestFormats(t *testing.T) {
	t.Parallel()
	it := New("thing", "n", int64(-5), "plain", "a/b", "empty", "", "space", "a b", "word", "null", "line", "a\nb", "quoted", `"a"`, "equals", "a=b", "list", []string{"x", "y z"}, "none", nil, "yes", true)
	it.Bytes("text", []byte("v"))
	it.Bytes("bytes", []byte{0xff, 0})
	it.Bytes("absent", nil)
	var text, json strings.Builder
	if err := Text(&text)(it); err != nil {
		t.Fatal(err)
	}
	if err := JSON(&json)(it); err != nil {
		t.Fatal(err)
	}
	if want := `thing n=-5 plain=a/b empty="" space="a b" word="null" line="a\nb" quoted="\"a\"" equals="a=b" list=[x y z] none=null yes=true text=v bytesBase64="/wA=" absent=null` + "\n"; text.String() != want {
		t.Errorf("text\n%swant\n%s", text.String(), want)
	}
	if want := `{"kind":"thing","n":-5,"plain":"a/b","empty":"","space":"a b","word":"null","line":"a\nb","quoted":"\"a\"","equals":"a=b","list":["x","y z"],"none":null,"yes":true,` +
		`"text":"v","bytesBase64":"/wA=","absent":null}` + "\n"; json.String() != want {
		t.Errorf("json\n%swant\n%s", json.String(), want)
	}
	if err := JSON(&json)(New("bad", "f", func() {})); err == nil {
		t.Error("a value that is no JSON")
	}
}
