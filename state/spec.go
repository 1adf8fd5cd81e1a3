package state

import (
	"fmt"
	"maps"
	"time"

	"github.com/millrace-io/millrace/serde"
)

// SpecOption sets what a store's constructor does not ask for.
type SpecOption func(*Spec)

// WithoutChangelog makes a store that is not logged: no restore, no standby (S-35). Its content survives as long as the
// state directory does.
func WithoutChangelog() SpecOption { return func(s *Spec) { s.Logging = false } }

// WithTopic overrides settings of the changelog topic, for example "min.insync.replicas".
func WithTopic(config map[string]string) SpecOption {
	return func(s *Spec) { s.Topic = maps.Clone(config) }
}

// KeyValueSpec declares a timestamped key-value store (S-06): its layer is a *KeyValue[K, V].
func KeyValueSpec[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], opts ...SpecOption) *Spec {
	s := &Spec{Name: name, Kind: KindKeyValue, Logging: true}
	s.Open = func(e Env) (Layer, error) { return newKeyValue(e, ks, vs) }
	return s.typed(ks, vs, opts)
}

// WindowSpec declares a timestamped window store (S-13, S-19): its layer is a *Window[K, V]. size is the length of a window;
// retention says how long windows are kept after the newest window's start, in event time, and is at least size. It costs
// nothing to keep windows for centuries but the space of those that exist.
func WindowSpec[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], size, retention time.Duration, opts ...SpecOption) *Spec {
	s := &Spec{Name: name, Kind: KindWindow, Logging: true, WindowSize: size, Retention: max(size, retention)}
	s.Open = func(e Env) (Layer, error) { return newWindow(e, ks, vs) }
	return s.typed(ks, vs, opts)
}

// GlobalSpec declares the store of a global table: its layer is a *Global[K, V], shared by all tasks of the instance. The
// table's own topic stands for a changelog, so Env may be empty when it is opened.
func GlobalSpec[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], opts ...SpecOption) *Spec {
	s := &Spec{Name: name, Kind: KindGlobal}
	s.Open = func(Env) (Layer, error) { return newGlobal(name, ks, vs), nil }
	return s.typed(ks, vs, opts)
}

// typed names the serdes and applies the options.
func (s *Spec) typed(ks, vs any, opts []SpecOption) *Spec {
	s.KeySerde, s.ValueSerde = fmt.Sprintf("%T", ks), fmt.Sprintf("%T", vs)
	for _, o := range opts {
		o(s)
	}
	return s
}
