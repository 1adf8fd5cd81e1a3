package runtime

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestConfigDefaultsAreValid(t *testing.T) {
	t.Parallel()
	c := Config{ApplicationID: "app", Brokers: []string{"localhost:9092"}}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	d := c.withDefaults()
	if d.CommitInterval != 100*time.Millisecond || d.TransactionTimeout != 10*time.Second || d.Workers < 1 || d.Guarantee != ExactlyOnce {
		t.Errorf("defaults %+v", d)
	}
}

func TestConfigReportsEveryFault(t *testing.T) {
	t.Parallel()
	c := Config{
		ApplicationID:      "my app",
		Brokers:            []string{"localhost"},
		Workers:            -1,
		Guarantee:          7,
		CommitInterval:     8 * time.Second,
		TransactionTimeout: 2 * time.Second,
		SessionTimeout:     time.Millisecond,
		ReplicationFactor:  -2,
		DirtyBytes:         5,

		NumStandbyReplicas:       -1,
		MaxWarmupReplicas:        -1,
		AcceptableRecoveryLag:    -1,
		ProbingRebalanceInterval: time.Millisecond,
		ClientTags:               map[string]string{"zone": ""},
		RackAwareTags:            []string{"rack"},
		Endpoint:                 "here:99999",

		ClientRack:           strings.Repeat("r", 250),
		RackAwareStrategy:    7,
		RackAwareTrafficCost: 2_000_000,
	}
	err := c.Validate()
	for _, part := range []string{
		"ApplicationID", "host:port", "Workers", "Guarantee", "CommitInterval", "SessionTimeout", "ReplicationFactor", "DirtyBytes",
		"NumStandbyReplicas", "MaxWarmupReplicas", "AcceptableRecoveryLag", "ProbingRebalanceInterval", "ClientTags", "RackAwareTags", "Endpoint",
		"ClientRack", "RackAwareStrategy", "RackAwareTrafficCost",
	} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("no word about %s in: %v", part, err)
		}
	}
	if err := (Config{ApplicationID: "app", Brokers: []string{"localhost:9092"}, RackAwareStrategy: MinTraffic}).Validate(); err == nil || !strings.Contains(err.Error(), "takes a ClientRack") {
		t.Errorf("a strategy without a rack: %v", err)
	}
	for _, id := range []string{"", ".", "..", "a/b", strings.Repeat("x", 201)} {
		c := Config{ApplicationID: id, Brokers: []string{"localhost:9092"}}
		if c.Validate() == nil {
			t.Errorf("application id %.10q is accepted", id)
		}
	}
}

func TestNewReportsTopologyAndConfigTogether(t *testing.T) {
	t.Parallel()
	_, err := New(nil, Config{})
	for _, part := range []string{"topology is nil", "ApplicationID", "Brokers"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("no word about %s in: %v", part, err)
		}
	}
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	var steps []string
	l := &lifecycle{now: time.Now, listener: func(c StateChange) { steps = append(steps, c.From.String()+">"+c.To.String()) }}
	if !l.begin() || l.begin() {
		t.Fatal("begin: want true, then false")
	}
	l.enter(Rebalancing, nil)
	l.enter(Running, nil)
	l.enter(Running, nil) // no change, nobody is told
	l.enter(Rebalancing, nil)
	l.enter(Closing, nil)
	l.enter(Failed, errors.New("why"))
	want := "created>starting starting>rebalancing rebalancing>running running>rebalancing rebalancing>closing closing>failed"
	if got := strings.Join(steps, " "); got != want {
		t.Errorf("steps %s\nwant  %s", got, want)
	}
	defer func() {
		if recover() == nil {
			t.Error("running after failed: want a panic")
		}
	}()
	l.enter(Running, nil)
}
