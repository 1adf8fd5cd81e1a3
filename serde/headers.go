package serde

// Header is one record header. A nil Value is a null header value.
type Header struct {
	Key   string
	Value []byte
}

// Headers are a record's headers, in order, duplicates allowed. The zero Headers is empty. With returns
// new ones, so that a record may travel to several children; only Add changes what others see. It is one word, to keep Record small.
type Headers struct{ list *[]Header }

// NewHeaders returns headers that own list; the caller must not change it afterwards.
func NewHeaders(list []Header) Headers {
	if len(list) == 0 {
		return Headers{}
	}
	return Headers{list: &list}
}

// All returns the headers in order. The caller must not change them.
func (h Headers) All() []Header {
	if h.list == nil {
		return nil
	}
	return *h.list
}

// Last returns the value of the last header with that key, and whether there is one.
func (h Headers) Last(key string) ([]byte, bool) {
	all := h.All()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Key == key {
			return all[i].Value, true
		}
	}
	return nil, false
}

// Add appends a header in place: whoever holds these headers sees it, also a sibling of the node that adds it, which is called later, as in
// Kafka Streams, where a record's headers are one object (P-11). With leaves the others alone, and is almost always what is wanted.
// Headers that are empty are shared with nobody.
func (h *Headers) Add(key string, value []byte) {
	if h.list == nil {
		*h = NewHeaders([]Header{{Key: key, Value: value}})
		return
	}
	*h.list = append(*h.list, Header{Key: key, Value: value})
}

// With returns h with one header appended.
func (h Headers) With(key string, value []byte) Headers {
	all := h.All()
	list := make([]Header, len(all), len(all)+1)
	copy(list, all)
	return NewHeaders(append(list, Header{Key: key, Value: value}))
}
