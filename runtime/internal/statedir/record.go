package statedir

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
)

const (
	formatVersion = 1
	recordName    = "instance.json"
	// maxSlots bounds what a damaged record can make an instance initialise.
	maxSlots = 1 << 12
)

// record is the content of instance.json.
type record struct {
	Format     int    `json:"format"`
	InstanceID string `json:"instance_id"`
	Slots      int    `json:"slots"`
}

func (r record) check() error {
	switch {
	case r.Format < 1:
		return errors.New("no format version")
	case r.Format > formatVersion:
		return fmt.Errorf("format version %d is newer than %d, which this program knows; run the newer program", r.Format, formatVersion)
	case r.InstanceID == "":
		return errors.New("no instance id")
	case r.Slots < 0 || r.Slots > maxSlots:
		return fmt.Errorf("%d recorded slots, at most %d are possible", r.Slots, maxSlots)
	}
	return nil
}

func readRecord(dir string) (record, error) {
	name := filepath.Join(dir, recordName)
	b, err := os.ReadFile(name)
	if err != nil {
		return record{}, fmt.Errorf("read instance record: %w", err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, fmt.Errorf("instance record %s is damaged: %w; restore it, or move the directory away to start with a new instance id", name, err)
	}
	if err := r.check(); err != nil {
		return record{}, fmt.Errorf("instance record %s: %w", name, err)
	}
	return r, nil
}

// writeRecord replaces the record: whoever reads it after a crash finds the old one or the new one, whole.
func writeRecord(dir string, r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode instance record: %w", err)
	}
	name := filepath.Join(dir, recordName)
	if err := writeSynced(name+".tmp", append(b, '\n')); err != nil {
		return fmt.Errorf("write instance record: %w", err)
	}
	if err := os.Rename(name+".tmp", name); err != nil {
		return fmt.Errorf("write instance record: %w", err)
	}
	return syncDir(dir)
}

func writeSynced(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes the rename durable. Windows has no way to sync a directory, and no need: its renames are journalled.
func syncDir(dir string) error {
	if goruntime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync state directory: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync state directory %s: %w", dir, err)
	}
	return nil
}
