package runtime

import (
	"slices"
	"testing"
)

// What a topic must keep is lost by no setting that keeps more, and by each that keeps less.
func TestLosses(t *testing.T) {
	t.Parallel()
	table := map[string]string{cleanupPolicy: "compact"}
	window := map[string]string{cleanupPolicy: "compact,delete", retentionMs: "5000"}
	versioned := map[string]string{cleanupPolicy: "compact", compactionLag: "5000"}
	repartition := map[string]string{cleanupPolicy: "delete", retentionMs: "-1"}
	for _, c := range []struct {
		name                             string
		want                             map[string]string
		policy, ms, bytes, compactionLag string
		lost                             []string
	}{
		{"table", table, "compact", "604800000", "-1", "0", nil},
		{"table kept whole", table, "delete", "-1", "-1", "0", nil},
		{"table by time", table, "delete", "604800000", "-1", "0", []string{"cleanup.policy is delete and retention.ms 604800000, want compact and -1"}},
		{"table by both", table, "compact, delete", "1000", "2000", "0", []string{
			"cleanup.policy is compact, delete and retention.ms 1000, want compact and -1",
			"cleanup.policy is compact, delete and retention.bytes 2000, want compact and -1",
		}},
		{"window", window, "compact,delete", "5000", "-1", "0", nil},
		{"window kept for longer", window, "delete", "5001", "-1", "0", nil},
		{"window kept for ever", window, "compact", "1", "1", "0", nil},
		{"window kept too short", window, "compact,delete", "4999", "-1", "0", []string{
			"cleanup.policy is compact,delete and retention.ms 4999, want compact,delete and 5000",
		}},
		{"versions", versioned, "compact", "1", "-1", "5000", nil},
		{"versions compacted at once", versioned, "compact", "1", "-1", "0", []string{"min.compaction.lag.ms is 0, want 5000"}},
		{"repartition", repartition, "delete", "-1", "-1", "0", nil},
		{"repartition compacted", repartition, "compact", "-1", "-1", "0", []string{
			"cleanup.policy is compact, which leaves one record of each key; want delete",
		}},
		{"repartition by time", repartition, "delete", "1000", "-1", "0", []string{
			"cleanup.policy is delete and retention.ms 1000, want delete and -1",
		}},
		{"nothing is known", table, "", "", "", "", nil},
	} {
		have := map[string]string{cleanupPolicy: c.policy, retentionMs: c.ms, retentionBytes: c.bytes, compactionLag: c.compactionLag}
		if got := losses(c.want, have); !slices.Equal(got, c.lost) {
			t.Errorf("%s: %q, want %q", c.name, got, c.lost)
		}
	}
}
