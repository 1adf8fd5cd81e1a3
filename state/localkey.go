package state

import (
	"math"
	"time"

	"github.com/millrace-io/millrace/state/internal/keyschema"
)

// timed reports whether a kind of store is kept in time buckets and expires.
func (k Kind) timed() bool { return k == KindWindow || k == KindSession || k == KindJoinWindow }

// appendLocal appends the key inside a timed store for a key of its changelog, and returns the time that places it: the
// start of a window, the end of a session, the time of a join's record.
func (k Kind) appendLocal(dst, changelogKey []byte, width int64) (local []byte, time int64, err error) {
	var key []byte
	var start int64
	var sequence uint32
	switch k {
	case KindSession:
		key, start, time, err = keyschema.SplitSessionChangelog(changelogKey)
	case KindJoinWindow:
		key, time, sequence, err = keyschema.SplitDuplicateChangelog(changelogKey)
	default:
		key, time, err = keyschema.SplitWindowChangelog(changelogKey)
	}
	if err != nil {
		return dst, 0, err
	}
	dst = append(keyschema.AppendBucket(dst, keyschema.BucketOf(time, width)), key...)
	switch k {
	case KindSession:
		return keyschema.AppendSession(dst, start, time), time, nil
	case KindJoinWindow:
		return keyschema.AppendDuplicate(dst, time, sequence), time, nil
	}
	return keyschema.AppendStart(dst, time), time, nil
}

// held returns how long entries of a timed store are kept.
func (s *Spec) held() time.Duration {
	if s.Retention > math.MaxInt64-s.Hold {
		return math.MaxInt64
	}
	return s.Retention + s.Hold
}
