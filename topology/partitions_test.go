package topology_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// The two chains "in -> r" and "r -> …" are common to most cases.
func TestPartition(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script string
		user         map[string]int32
		want         string // topics, then tasks; or the error's lines
	}{
		{"follows its source", `
			repartition r
			source s1 in
			sink k1 r-repartition < s1
			source s2 r-repartition
			node n < s2`,
			map[string]int32{"in": 4},
			"map[in:4 r-repartition:4] map[0:4 1:4]"},
		{"follows the largest source", `
			repartition r
			source s1 a
			source s2 b
			node n < s1 s2
			sink k1 r-repartition < n
			source s3 r-repartition
			node m < s3`,
			map[string]int32{"a": 2, "b": 6},
			"map[a:2 b:6 r-repartition:6] map[0:6 1:6]"},
		{"the user's number", `
			repartition r 3
			source s1 in
			sink k1 r-repartition < s1
			source s2 r-repartition
			node n < s2`,
			map[string]int32{"in": 4},
			"map[in:4 r-repartition:3] map[0:4 1:3]"},
		{"along a chain, declared against its order", `
			repartition q
			repartition r
			source s1 in
			sink k1 r-repartition < s1
			source s2 r-repartition
			sink k2 q-repartition < s2
			source s3 q-repartition
			node n < s3`,
			map[string]int32{"in": 5},
			"map[in:5 q-repartition:5 r-repartition:5] map[0:5 1:5 2:5]"},
		{"waits for a source that is larger than those known", `
			repartition q
			repartition r
			source s1 in
			sink k1 r-repartition < s1
			source s2 r-repartition
			source s3 small
			node n < s2 s3
			sink k2 q-repartition < n
			source s4 q-repartition
			node m < s4`,
			map[string]int32{"in": 5, "small": 2},
			"map[in:5 q-repartition:5 r-repartition:5 small:2] map[0:5 1:5 2:5]"},
		{"the user topic it is joined with", `
			repartition r
			source s1 in
			sink k1 r-repartition < s1
			source s2 r-repartition
			source s3 table
			node n < s2 s3
			together r-repartition table`,
			map[string]int32{"in": 4, "table": 2},
			"map[in:4 r-repartition:2 table:2] map[0:4 1:2]"},
		{"two joined repartition topics: the larger", `
			repartition q
			repartition r
			source s1 a
			sink k1 q-repartition < s1
			source s2 b
			sink k2 r-repartition < s2
			source s3 q-repartition
			source s4 r-repartition
			node n < s3 s4
			together q-repartition r-repartition`,
			map[string]int32{"a": 2, "b": 7},
			"map[a:2 b:7 q-repartition:7 r-repartition:7] map[0:2 1:7 2:7]"},
		{"one of them the user's number", `
			repartition q 3
			repartition r
			source s1 a
			sink k1 q-repartition < s1
			source s2 b
			sink k2 r-repartition < s2
			source s3 q-repartition
			source s4 r-repartition
			node n < s3 s4
			together q-repartition r-repartition`,
			map[string]int32{"a": 2, "b": 7},
			"map[a:2 b:7 q-repartition:3 r-repartition:3] map[0:2 1:7 2:3]"},
		{"read by the sub-topology that writes it", `
			repartition r
			source s1 l
			source s2 x
			sink k1 r-repartition < s1
			source s3 r-repartition
			node n < s1 s2
			node m < s2 s3
			together l x
			together r-repartition x`,
			map[string]int32{"l": 4, "x": 4},
			"map[l:4 r-repartition:4 x:4] map[0:4]"},
		{"a ring of repartition topics", `
			repartition q
			repartition r
			source s1 in
			source s2 q-repartition
			node n < s1 s2
			sink k1 r-repartition < n
			source s3 r-repartition
			sink k2 q-repartition < s3`,
			map[string]int32{"in": 4},
			"map[in:4 q-repartition:4 r-repartition:4] map[0:4 1:4]"},
		{"joined topics of unequal counts", `
			source s1 a
			source s2 b
			source s3 c
			node n < s1 s2
			node m < s2 s3
			together a b
			together b c`,
			map[string]int32{"a": 4, "b": 4, "c": 3},
			"topics a, b, c must have equal partition counts to be joined, but a has 4, b has 4, c has 3; repartition one of them, or recreate it"},
		{"joined topics of unequal counts, the larger one last", `
			source s1 a
			source s2 b
			node n < s1 s2
			together a b`,
			map[string]int32{"a": 3, "b": 4},
			"topics a, b must have equal partition counts to be joined, but a has 3, b has 4; repartition one of them, or recreate it"},
		{"the user's number against a topic", `
			repartition r 3
			source s1 in
			sink k1 r-repartition < s1
			source s2 r-repartition
			source s3 table
			node n < s2 s3
			together r-repartition table`,
			map[string]int32{"in": 4, "table": 2},
			"topics r-repartition, table must have equal partition counts to be joined, but r-repartition has 3, table has 2; repartition one of them, or recreate it"},
		{"topics that do not exist", `
			source s1 a
			source s2 b,c
			global g gs d st
			node n < s1 s2`,
			map[string]int32{"b": 1},
			lines("source s1: topic a does not exist; create it before starting",
				"source s2: topic c does not exist; create it before starting",
				"source g: topic d does not exist; create it before starting")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := plan(t, c.script).Partition(c.user)
			got := fmt.Sprint(p.Topics, " ", p.Tasks)
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestUnknownTopicError(t *testing.T) {
	t.Parallel()
	_, err := plan(t, "source s in").Partition(nil)
	if e, ok := errors.AsType[*topology.UnknownTopicError](err); !ok || e.Topic != "in" || e.Node != "s" {
		t.Errorf("error %v", err)
	}
}

// names, partitions and settings of the topics that an application creates.
func TestInternalTopics(t *testing.T) {
	t.Parallel()
	top := plan(t, `
		repartition by-key
		store counts
		window windows 10ms 15ms
		window for-ever 1h 2562047h47m16.854775807s
		store unlogged
		global g gs table airports
		source s1 in
		sink k1 by-key-repartition < s1
		source s2 by-key-repartition
		node n2 counts,windows,for-ever,unlogged,airports < s2`)
	for _, s := range top.Stores {
		switch s.Name {
		case "unlogged":
			s.Logging = false
		case "counts":
			s.Topic = map[string]string{"cleanup.policy": "compact,delete", "min.insync.replicas": "2"}
		}
	}
	p, err := top.Partition(map[string]int32{"in": 4, "table": 1})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range top.InternalTopics("app", p) {
		got = append(got, fmt.Sprintf("%s store=%q partitions=%d %v", it.Name, it.Store, it.Partitions, it.Settings))
	}
	want := lines(
		`app-by-key-repartition store="" partitions=4 map[cleanup.policy:delete message.timestamp.after.max.ms:9223372036854775807 message.timestamp.type:CreateTime retention.ms:-1 segment.bytes:52428800]`,
		`app-counts-changelog store="counts" partitions=4 map[cleanup.policy:compact,delete message.timestamp.after.max.ms:9223372036854775807 message.timestamp.type:CreateTime min.insync.replicas:2]`,
		`app-for-ever-changelog store="for-ever" partitions=4 map[cleanup.policy:compact,delete message.timestamp.after.max.ms:9223372036854775807 message.timestamp.type:CreateTime retention.ms:9223372036854775807]`,
		`app-windows-changelog store="windows" partitions=4 map[cleanup.policy:compact,delete message.timestamp.after.max.ms:9223372036854775807 message.timestamp.type:CreateTime retention.ms:86400015]`)
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if topics := fmt.Sprint(top.UserTopics()); topics != "[in table]" {
		t.Errorf("UserTopics = %s", topics)
	}
}

// topics of what joins and versioned stores keep, and of a store that has a source topic for its changelog.
func TestChangelogSettings(t *testing.T) {
	t.Parallel()
	top := plan(t, `
		store rows
		store history
		store for-ever
		store sides
		source s1 in
		node n rows,history,for-ever,sides < s1`)
	top.Stores[0].SourceTopic = "in"
	top.Stores[1] = state.VersionedSpec("history", text{}, text{}, time.Hour)
	top.Stores[2] = state.VersionedSpec("for-ever", text{}, text{}, math.MaxInt64)
	top.Stores[3] = state.JoinWindowSpec("sides", text{}, text{}, time.Hour, 2*time.Hour)
	p, err := top.Partition(map[string]int32{"in": 4})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range top.InternalTopics("app", p) {
		s := it.Settings
		got = append(got, strings.TrimSpace(fmt.Sprint(it.Name, " ", s["cleanup.policy"], " ", s["retention.ms"], s["min.compaction.lag.ms"])))
	}
	want := lines("app-for-ever-changelog compact 9223372036854775807", "app-history-changelog compact 90000000", "app-sides-changelog delete 93600000")
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if rows, history := top.LogOf("app", top.Stores[0]), top.LogOf("app", top.Stores[1]); rows != "in" || history != "app-history-changelog" {
		t.Errorf("restored from %s and %s", rows, history)
	}
}

// A base name may be that of a user topic: nodes hold the suffix.
func TestNames(t *testing.T) {
	t.Parallel()
	top := plan(t, `
		repartition routes
		source s1 in
		sink k1 routes-repartition < s1
		source s2 routes-repartition
		sink k2 routes < s2`)
	for topic, want := range map[string]string{
		"routes-repartition": "app-routes-repartition", "routes": "routes", "in": "in", "other-repartition": "other-repartition",
	} {
		if got := top.Internal("app", topic); got != want {
			t.Errorf("Internal(%s) = %s, want %s", topic, got, want)
		}
	}
	if got := topology.ChangelogTopic("app", "routes"); got != "app-routes-changelog" {
		t.Errorf("ChangelogTopic = %s", got)
	}
}

func lines(s ...string) string { return strings.Join(s, "\n") }
