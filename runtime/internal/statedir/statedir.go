package statedir

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// ErrLocked is returned by Open when another process, or another instance in this one, holds the directory.
var ErrLocked = errors.New("another process holds it")

const (
	lockName  = "lock"
	stateName = "state"
)

// Dir is an open, locked instance directory.
type Dir struct {
	path   string
	lock   *flock.Flock
	record record
}

// Open locks the directory of applicationID below root, creating it if need be, and reads the instance record or draws a
// new one. It returns ErrLocked, wrapped with the directory's name, if the directory is held.
func Open(root, applicationID string) (*Dir, error) {
	path := filepath.Join(root, applicationID)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("create state directory: %w", err)
	}
	lock := flock.New(filepath.Join(path, lockName))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock state directory %s: %w", path, err)
	}
	if !locked {
		return nil, fmt.Errorf("lock state directory %s: %w; stop that process, or give this instance a state directory of its own",
			path, ErrLocked)
	}
	d := &Dir{path: path, lock: lock}
	if err := d.load(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Dir) load() error {
	r, err := readRecord(d.path)
	if errors.Is(err, os.ErrNotExist) {
		r = record{Format: formatVersion, InstanceID: NewInstanceID()}
		err = writeRecord(d.path, r)
	}
	d.record = r
	return err
}

// InstanceID returns the persisted random id of the instance.
func (d *Dir) InstanceID() string { return d.record.InstanceID }

// Slots returns the number of transactional slots that may have been used.
func (d *Dir) Slots() int { return d.record.Slots }

// RecordSlots makes n the number of recorded slots. It returns when the record is durable.
func (d *Dir) RecordSlots(n int) error {
	if n == d.record.Slots {
		return nil
	}
	r := d.record
	r.Slots = n
	if err := writeRecord(d.path, r); err != nil {
		return err
	}
	d.record = r
	return nil
}

// Path returns the instance's own directory.
func (d *Dir) Path() string { return d.path }

// StatePath returns the directory of the state database, which need not exist.
func (d *Dir) StatePath() string { return filepath.Join(d.path, stateName) }

// Close gives the lock up. The lock file stays: removing it would let two processes lock two different files of one name.
func (d *Dir) Close() error {
	if err := d.lock.Unlock(); err != nil {
		return fmt.Errorf("unlock state directory %s: %w", d.path, err)
	}
	return nil
}

// NewInstanceID draws a random instance id: 16 hexadecimal digits.
func NewInstanceID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process if the system has no randomness
	return hex.EncodeToString(b[:])
}
