package broker_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker"
)

// TestConfigBounds: what is just within the bounds is taken, and every fault of what is not is told at once.
func TestConfigBounds(t *testing.T) {
	t.Parallel()
	const short = time.Millisecond - 1
	for _, good := range []broker.Config{
		{Dir: "d"},
		{
			Dir: "d", Listen: "localhost:1", Advertise: "example.com:2", Durability: broker.Async, DefaultPartitions: 10_000,
			RetentionInterval: time.Millisecond, OffsetsRetention: time.Millisecond, OffsetsRetentionInterval: time.Millisecond,
			GroupHeartbeatInterval: time.Millisecond, GroupSessionTimeout: time.Millisecond + 1, GroupMigration: broker.MigrateNever,
			CompactionInterval: time.Millisecond, CompactionBytes: 1 << 10, ReserveBytes: -1, MaxRequestBytes: 64 << 10, MaxInFlightBytes: 64 << 10,
		},
		{Dir: "d", OffsetsRetention: -1, DefaultPartitions: 1, MaxRequestBytes: math.MaxInt32},
		{Dir: "d", MaxInFlightBytes: 64 << 10},
	} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for _, c := range []struct {
		bad    broker.Config
		faults []string
	}{
		{broker.Config{
			Listen: "nowhere", Advertise: "example.com", Durability: broker.Async + 1, DefaultPartitions: 10_001,
			RetentionInterval: short, OffsetsRetention: short, OffsetsRetentionInterval: short, GroupHeartbeatInterval: short,
			GroupSessionTimeout: short, GroupMigration: broker.MigrateNever + 1, CompactionInterval: short, CompactionBytes: 1<<10 - 1,
			ReserveBytes: -2, MaxConnections: -1, MaxRequestBytes: 64<<10 - 1, MaxInFlightBytes: 64<<10 - 2,
		}, []string{
			"Dir is", "Listen ", "Advertise ", "Durability ", "DefaultPartitions ", "RetentionInterval ", "OffsetsRetention ", "OffsetsRetentionInterval ",
			"GroupHeartbeatInterval ", "GroupSessionTimeout ", "GroupMigration ", "CompactionInterval ", "CompactionBytes ", "ReserveBytes ",
			"MaxConnections ", "MaxRequestBytes ", "MaxInFlightBytes ",
		}},
		{broker.Config{Dir: "d", DefaultPartitions: -1, OffsetsRetention: -2}, []string{"DefaultPartitions ", "OffsetsRetention "}},
		{broker.Config{Dir: "d", RetentionInterval: -1, MaxInFlightBytes: -1}, []string{"RetentionInterval ", "MaxInFlightBytes "}},
		{broker.Config{Dir: "d", MaxInFlightBytes: 64<<10 - 1}, []string{"MaxInFlightBytes "}},
		{broker.Config{Dir: "d", GroupHeartbeatInterval: time.Minute}, []string{"GroupSessionTimeout "}},
	} {
		err := c.bad.Validate()
		if err == nil {
			t.Errorf("%+v is taken", c.bad)
			continue
		}
		told := strings.Split(err.Error(), "\n")
		if len(told) != len(c.faults) {
			t.Errorf("%d faults are told, want %d: %v", len(told), len(c.faults), err)
			continue
		}
		for i, fault := range c.faults {
			if !strings.HasPrefix(told[i], "broker: "+fault) {
				t.Errorf("fault %d: %q, want %q", i, told[i], fault)
			}
		}
	}
}
