package commitlog

import "testing"

// TestRetained cuts two extents, at offsets 5 and 9, of 100 bytes each.
func TestRetained(t *testing.T) {
	t.Parallel()
	const now = 1_000_000
	for name, c := range map[string]struct {
		retention, bytes      int64
		times                 [2]int64
		highWatermark, expect int64
		start                 int64
	}{
		"by age":                               {10, -1, [2]int64{now - 11, now - 10}, 9, 5, 0},
		"by age, not what is not durable":      {10, -1, [2]int64{0, 0}, 8, 5, 0},
		"by age, not before what is younger":   {10, -1, [2]int64{now, 0}, 9, 0, 0},
		"by age, not what has no time":         {10, -1, [2]int64{0, -1}, 9, 5, 0},
		"by size":                              {-1, 100, [2]int64{now, now}, 9, 5, 0},
		"by size, the rest would be too small": {-1, 101, [2]int64{now, now}, 9, 0, 0},
		"by size, not what is not durable":     {-1, 0, [2]int64{now, now}, 8, 5, 0},
		"not below what is deleted already":    {10, -1, [2]int64{0, now}, 9, 7, 7},
		"by either":                            {10, 0, [2]int64{0, now}, 9, 9, 0},
	} {
		config := topicConfig{expires: true, retention: c.retention, retentionBytes: c.bytes}
		all := []extent{{next: 5, size: 100, maxTime: c.times[0]}, {next: 9, size: 100, maxTime: c.times[1]}}
		if got := config.retained(all, c.start, c.highWatermark, now); got != c.expect {
			t.Errorf("%s: start %d, want %d", name, got, c.expect)
		}
	}
}
