package client

import (
	"errors"
	"time"
)

// Reading from the nearest replica (KIP-392). The leader says which replica a reader in our rack should ask instead, and answers nothing else.
// The replica may lag behind: what it refuses, or does not have, the leader is asked for.

const (
	// replicaAge is for how long a replica is asked before the leader is, which may have another in mind (metadata.max.age.ms).
	replicaAge = 5 * time.Minute
	// replicaRest is for how long the leader itself is asked after a replica has failed. Kafka's consumer goes back to the replica as soon as the
	// leader says so again, which it does until it finds the replica out of sync: nothing is read meanwhile.
	replicaRest = 30 * time.Second
)

// node returns who is asked: the replica that the leader has named, else the leader.
func (d *feed) node() int32 {
	if d.replica != noLeader {
		return d.replica
	}
	return d.leader.Leader
}

// preferLocked has the replica asked that the leader has named.
func (f *Fetcher) preferLocked(d *feed, replica int32, now time.Time) {
	d.replica, d.replicaUntil = replica, now.Add(f.replicaAge)
	f.c.log.Debug("reading from a replica", "topic", d.tp.Topic, "partition", d.tp.Partition, "node", replica)
}

// renewLocked has the leader asked again when a replica was asked for long enough.
func (f *Fetcher) renewLocked(d *feed, now time.Time) {
	if d.replica == noLeader || d.busy || now.Before(d.replicaUntil) {
		return
	}
	d.replica = noLeader
	f.crew.wake(d.leader.Leader)
}

// avoidReplicaLocked has the leader alone asked for a while.
func (d *feed) avoidReplicaLocked(now time.Time) {
	if d.replica != noLeader {
		d.replica, d.leaderUntil = noLeader, now.Add(replicaRest)
	}
}

var errReplicaBehind = errors.New("the replica has not come as far as the leader had")
