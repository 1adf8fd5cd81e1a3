package serde

// Header is one record header. A nil Value is a null header value.
type Header struct {
	Key   string
	Value []byte
}

// Headers are a record's headers, in order, duplicates allowed. The zero Headers is empty. Headers are immutable: With
// returns new ones, so that a record may travel to several children. It is one word, to keep Record small.
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

// With returns h with one header appended.
func (h Headers) With(key string, value []byte) Headers {
	all := h.All()
	list := make([]Header, len(all), len(all)+1)
	copy(list, all)
	return NewHeaders(append(list, Header{Key: key, Value: value}))
}
