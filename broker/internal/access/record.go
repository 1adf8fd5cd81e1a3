package access

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/fields"
	"github.com/millrace-io/millrace/broker/internal/inspect"
)

// The kinds of record, and their fields, encoded as package fields says. They are on disk.
const (
	recordSet    byte = 1 // user, mechanism, iterations, salt, stored key, server key
	recordRemove byte = 2 // user, mechanism
	recordAdd    byte = 3 // resource type, name, pattern, principal, host, operation, permission
	recordDrop   byte = 4 // the same
)

func encodeSet(user string, c Credential) []byte {
	b := fields.AppendString([]byte{recordSet}, user)
	b = append(b, byte(c.Mechanism))
	b = binary.AppendVarint(b, int64(c.Iterations))
	b = fields.AppendString(b, c.Salt)
	b = fields.AppendString(b, c.StoredKey)
	return fields.AppendString(b, c.ServerKey)
}

func encodeRemove(user string, m Mechanism) []byte {
	return append(fields.AppendString([]byte{recordRemove}, user), byte(m))
}

func encodeBinding(kind byte, x Binding) []byte {
	b := fields.AppendString([]byte{kind, byte(x.Resource)}, x.Name)
	b = fields.AppendString(append(b, byte(x.Pattern)), x.Principal)
	b = fields.AppendString(b, x.Host)
	return append(b, byte(x.Operation), byte(x.Permission))
}

// change is a decoded record.
type change struct {
	kind       byte
	user       string
	credential Credential // of recordRemove the mechanism only
	binding    Binding
}

func decode(record []byte) (x change, err error) {
	d := fields.NewDecoder(record)
	switch x.kind = d.Byte(); x.kind {
	case recordSet:
		x.user = d.String()
		x.credential = Credential{Mechanism: Mechanism(d.Byte()), Iterations: int32(d.Int()), Salt: d.Bytes(), StoredKey: d.Bytes(), ServerKey: d.Bytes()}
		if c := &x.credential; !c.Mechanism.Known() || c.Iterations < 1 || len(c.StoredKey) != c.Mechanism.size() || len(c.ServerKey) != c.Mechanism.size() {
			d.Fail()
		}
	case recordRemove:
		x.user, x.credential.Mechanism = d.String(), Mechanism(d.Byte())
	case recordAdd, recordDrop:
		b := &x.binding
		b.Resource, b.Name = kmsg.ACLResourceType(d.Byte()), d.String()
		b.Pattern, b.Principal = kmsg.ACLResourcePatternType(d.Byte()), d.String()
		b.Host = d.String()
		b.Operation, b.Permission = kmsg.ACLOperation(d.Byte()), kmsg.ACLPermissionType(d.Byte())
	default:
		d.Fail()
	}
	if err := d.End(); err != nil {
		return x, fmt.Errorf("access record of kind %d, %d bytes: %w", x.kind, len(record), err)
	}
	return x, nil
}

// Replay applies one record: after the request that made it, or in recovery. An error means that the record is damaged.
func (s *State) Replay(record []byte) error {
	x, err := decode(record)
	if err != nil {
		return err
	}
	switch x.kind {
	case recordSet:
		s.set(x.user, x.credential)
	case recordRemove:
		s.unset(x.user, x.credential.Mechanism)
	case recordAdd:
		s.bindings[x.binding] = struct{}{}
	case recordDrop:
		delete(s.bindings, x.binding)
	}
	return nil
}

// Snapshot emits records that rebuild the state.
func (s *State) Snapshot(emit func(record []byte) error) error {
	for _, user := range s.Users() {
		for _, c := range s.Credentials(user) {
			if err := emit(encodeSet(user, c)); err != nil {
				return err
			}
		}
	}
	for _, b := range slices.SortedFunc(maps.Keys(s.bindings), compareBindings) {
		if err := emit(encodeBinding(recordAdd, b)); err != nil {
			return err
		}
	}
	return nil
}

// Describe says what a record means, without keys (A3).
func Describe(record []byte) (inspect.Item, error) {
	x, err := decode(record)
	if err != nil {
		return inspect.Item{}, err
	}
	switch x.kind {
	case recordSet:
		return inspect.New("access.credential", "user", x.user, "mechanism", x.credential.Mechanism.String(), "iterations", x.credential.Iterations), nil
	case recordRemove:
		return inspect.New("access.removeCredential", "user", x.user, "mechanism", x.credential.Mechanism.String()), nil
	}
	b := x.binding
	return inspect.New(map[byte]string{recordAdd: "access.binding", recordDrop: "access.removeBinding"}[x.kind],
		"resourceType", b.Resource.String(), "resource", b.Name, "pattern", b.Pattern.String(), "principal", b.Principal, "host", b.Host,
		"operation", b.Operation.String(), "permission", b.Permission.String()), nil
}
