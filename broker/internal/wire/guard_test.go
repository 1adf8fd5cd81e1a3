package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fill sets every exported field of v to something random; lists get up to three elements.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			for range r.IntN(3) {
				tags.Set(1000+uint32(r.IntN(100)), make([]byte, r.IntN(5)))
			}
			return
		}
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() && v.Type().Field(i).Name != "Version" {
				fill(r, f)
			}
		}
	case reflect.Pointer:
		if r.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case reflect.Slice:
		n := r.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.String:
		v.SetString("string-of-some-length"[:r.IntN(21)])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 1)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.IntN(100)))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(r.IntN(100)))
	}
}

// randomBody returns the encoding of a random request and the request.
func randomBody(r *rand.Rand, key, version int16) []byte {
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	fill(r, reflect.ValueOf(req).Elem())
	return req.AppendTo(nil)
}

// maxServed is the highest version that the schemas describe.
var maxServed = map[int16]int16{
	0: 13, 1: 18, 2: 11, 3: 13, 8: 10, 9: 10, 10: 6, 11: 9, 12: 4, 13: 5, 14: 5, 18: 4, 19: 7, 20: 6, 21: 2, 22: 5, 24: 3, 25: 4,
	26: 5, 28: 5, 32: 4, 37: 3, 44: 1, 68: 1, 69: 1,
}

// quickest returns how long f takes: the least of several runs, unless the first keeps to the limit. That the machine was busy elsewhere
// says nothing of f.
func quickest(limit time.Duration, f func()) time.Duration {
	least := time.Duration(math.MaxInt64)
	for range 5 {
		start := time.Now()
		f()
		if least = min(least, time.Since(start)); least <= limit {
			break
		}
	}
	return least
}

func eachVersion(t *testing.T, f func(t *testing.T, key, version int16, s *schema)) {
	for key, s := range schemas {
		for v := range maxServed[key] + 1 {
			t.Run(fmt.Sprintf("%s/%d", kmsg.NameForKey(key), v), func(t *testing.T) { f(t, key, v, s) })
		}
	}
}

func TestGuardAcceptsWhatTheEncoderWrites(t *testing.T) {
	eachVersion(t, func(t *testing.T, key, version int16, s *schema) {
		r := rand.New(rand.NewPCG(uint64(key), uint64(version)))
		for range 200 {
			body := randomBody(r, key, version)
			if err := guard(s, version, body); err != nil {
				t.Fatalf("%v: % x", err, body)
			}
		}
	})
}

func TestGuardRefusesEveryPrefix(t *testing.T) {
	eachVersion(t, func(t *testing.T, key, version int16, s *schema) {
		r := rand.New(rand.NewPCG(uint64(key), uint64(version)))
		for range 5 {
			body := randomBody(r, key, version)
			for n := range body {
				if err := guard(s, version, body[:n]); !errors.Is(err, ErrMalformed) {
					t.Fatalf("prefix of %d of %d bytes: %v", n, len(body), err)
				}
			}
			if err := guard(s, version, append(body, 0)); !errors.Is(err, ErrMalformed) {
				t.Fatalf("a trailing byte is accepted: %v", err)
			}
		}
	})
}

// TestGuardTagBomb is the 7-byte body that announces 2^32-1 tags, at the end of a request of every flexible version.
func TestGuardTagBomb(t *testing.T) {
	eachVersion(t, func(t *testing.T, key, version int16, s *schema) {
		if version < s.flexible {
			return
		}
		req := kmsg.RequestForKey(key)
		req.SetVersion(version)
		body := req.AppendTo(nil)
		for _, bomb := range [][]byte{{0xff, 0xff, 0xff, 0xff, 0x0f}, {0xff, 0xff, 0xff, 0xff, 0x07}, {65}, {0x80}} {
			bombed := append(body[:len(body)-1:len(body)-1], bomb...)
			if err := guard(s, version, bombed); !errors.Is(err, ErrMalformed) {
				t.Errorf("tags % x: %v", bomb, err)
			}
			if d := quickest(50*time.Millisecond, func() { _ = guard(s, version, bombed) }); d > 50*time.Millisecond {
				t.Errorf("tags % x: took %v", bomb, d)
			}
		}
	})
}

// TestGuardTagBombInKnownTag hides the bomb in a tag that the decoder looks into.
func TestGuardTagBombInKnownTag(t *testing.T) {
	req := kmsg.NewFetchRequest()
	req.Version = 15
	body := req.AppendTo(nil)
	body = append(body[:len(body)-1], 1 /* one tag */, 1 /* ReplicaState */, 17)
	body = append(body, make([]byte, 12)...)
	body = append(body, 0xff, 0xff, 0xff, 0xff, 0x07)
	if err := guard(schemas[1], 15, body); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

// TestDecodeBudget sends the request that decodes into the most memory for its length.
func TestDecodeBudget(t *testing.T) {
	body := binary.BigEndian.AppendUint32(nil, 500_000)
	body = append(body, make([]byte, 1_000_000)...) // 500,000 empty topic names of Metadata v1
	if err := guard(schemas[3], 1, body); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

// TestTagsHaveACost: a tag of two bytes takes hundreds once it is decoded, so that many of them are refused, and some are not.
func TestTagsHaveACost(t *testing.T) {
	const tags = 60
	for topics, refused := range map[int]bool{1: false, 2: false, 5_000: true} {
		body := binary.AppendUvarint(nil, uint64(topics+1))
		for range topics { // of Metadata v9: an empty name and empty tags that nobody knows
			body = append(body, 1, tags)
			for tag := range byte(tags) {
				body = append(body, tag, 0)
			}
		}
		body = append(body, 0, 0, 0, 0)
		if err := guard(schemas[3], 9, body); errors.Is(err, ErrMalformed) != refused {
			t.Errorf("%d topics with %d tags each: %v", topics, tags, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for key := range schemas {
		for v := range maxServed[key] + 1 {
			head := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, uint16(key)), uint16(v))
			head = append(head, 0, 0, 0, 1, 0xff, 0xff)
			if v >= schemas[key].flexible {
				head = append(head, 0)
			}
			f.Add(append(head, randomBody(r, key, v)...))
		}
	}
	served := func(key int16) (Range, bool) { m, ok := maxServed[key]; return Range{0, m}, ok }
	f.Fuzz(func(t *testing.T, frame []byte) {
		var req Request
		var err error
		// One run is enough to see an allocation that does not fit the frame.
		allocated := allocatedBy(func() { req, err = Decode(frame, served) })
		if limit := uint64(2*decodedFactor*len(frame) + 1<<20); allocated > limit {
			t.Errorf("%d bytes decode into %d", len(frame), allocated)
		}
		limit := 100*time.Millisecond + time.Duration(len(frame))*10*time.Microsecond
		if d := quickest(limit, func() { _, _ = Decode(frame, served) }); d > limit {
			t.Errorf("%d bytes took %v", len(frame), d)
		}
		if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnserved) {
			t.Errorf("unclassified: %v", err)
		}
		if err == nil && req.Body != nil && errors.Is(guard(schemas[req.Key], req.Version, req.Body.AppendTo(nil)), ErrMalformed) {
			t.Error("what was decoded cannot be encoded and read again")
		}
	})
}
