//go:build !planted

package state

// applyApart is a bug that is planted with the tag "planted" only; see package planted of the runtime.
func (db *DB) applyApart([]*run) (done bool, err error) { return false, nil }

// planted reports whether a bug is planted.
func planted(string) bool { return false }

// keepObjects is for plantedAliased.
func (t *transaction[V]) keepObjects() {}
