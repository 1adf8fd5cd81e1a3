package group

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// TopicID is a topic's id (G5).
type TopicID = [16]byte

// Partition names a partition.
type Partition struct {
	Topic TopicID
	Index int32
}

func comparePartitions(a, b Partition) int {
	return cmp.Or(bytes.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Index, b.Index))
}

// offset is a committed or staged offset.
type offset struct {
	at          int64
	leaderEpoch int32
	metadata    string
	committed   int64  // milliseconds since the epoch
	seq         uint64 // of the change, in log order (G4)
}

// Offset is one offset to commit, or one that was committed.
type Offset struct {
	Partition
	At          int64 // the next offset to read; -1: none
	LeaderEpoch int32 // -1: not known
	Metadata    string
}

// CommitRequest is OffsetCommit or TxnOffsetCommit.
type CommitRequest struct {
	Group, MemberID, InstanceID string
	Generation                  int32 // or member epoch; -1: from outside of the group
	MemberEpochs                bool  // the client knows of member epochs (OffsetCommit version 9)
	Offsets                     []Offset
}

// CommitOffsets handles OffsetCommit. It returns one result for each offset, and a record if there is anything to do.
func (c *Coordinator) CommitOffsets(now time.Time, r CommitRequest) (record []byte, results []*kerr.Error) {
	return c.commit(now, r, nil)
}

// StageOffsets handles TxnOffsetCommit: like CommitOffsets, but the offsets become visible by the end of the producer's
// transaction. That the transaction is open is for the transaction coordinator to check.
func (c *Coordinator) StageOffsets(now time.Time, producerID int64, r CommitRequest) (record []byte, results []*kerr.Error) {
	return c.commit(now, r, &producerID)
}

func (c *Coordinator) commit(now time.Time, r CommitRequest, producerID *int64) (record []byte, results []*kerr.Error) {
	results = make([]*kerr.Error, len(r.Offsets))
	err := c.mayCommit(now, r, producerID != nil)
	if err != nil {
		for i := range results {
			results[i] = err
		}
		return nil, results
	}
	good := make([]Offset, 0, len(r.Offsets))
	for i, o := range r.Offsets {
		if len(o.Metadata) > maxMetadata {
			results[i] = kerr.OffsetMetadataTooLarge
			continue
		}
		good = append(good, o)
	}
	if len(good) == 0 {
		return nil, results
	}
	return encodeOffsets(producerID, r.Group, now.UnixMilli(), good), results
}

// mayCommit checks the sender of a commit. A commit from outside (generation -1) is for groups without members only, and may name a
// member all the same: librdkafka tells its instance id also when partitions were assigned by hand. A transaction may commit during
// CompletingRebalance: its member has the new generation already.
func (c *Coordinator) mayCommit(now time.Time, r CommitRequest, transactional bool) *kerr.Error {
	if g := c.groups[r.Group]; g != nil && g.consumer != nil {
		return g.consumer.mayCommit(r, transactional)
	}
	return c.mayCommitClassic(now, r, transactional)
}

func (c *Coordinator) mayCommitClassic(now time.Time, r CommitRequest, transactional bool) *kerr.Error {
	if r.Group == "" {
		return kerr.InvalidGroupID
	}
	outside := r.Generation < 0 && r.MemberID == "" && r.InstanceID == ""
	g := c.groups[r.Group]
	switch {
	case g == nil && r.Generation >= 0 && r.MemberEpochs:
		return kerr.GroupIDNotFound
	case g == nil && r.Generation >= 0:
		return kerr.IllegalGeneration
	case g == nil && len(c.groups) >= maxGroups:
		return kerr.PolicyViolation
	case g == nil:
		return nil
	case r.Generation < 0 && g.state == Empty:
		return nil
	case outside && transactional:
		return nil
	case outside:
		return kerr.UnknownMemberID
	}
	_, m, err := c.member(r.Group, r.MemberID, r.InstanceID, r.Generation)
	if err != nil {
		return err
	}
	if g.state == CompletingRebalance && !transactional {
		return kerr.RebalanceInProgress
	}
	g.touch(m, now)
	return nil
}

// mayCommit checks the sender of a commit to a KIP-848 group. A heartbeat alone counts as a sign of life there. A member may be behind
// its epoch, since the answer that tells it is on its way: it may commit what it has had since then (KIP-1251). One partition that it may not
// commit has the whole commit refused, as in Kafka: the member hears that it is behind, and commits again.
func (k *consumerGroup) mayCommit(r CommitRequest, transactional bool) *kerr.Error {
	outside := r.Generation < 0 && r.MemberID == "" && r.InstanceID == ""
	if r.Generation < 0 && len(k.members) == 0 || transactional && outside {
		return nil
	}
	m := k.members[r.MemberID]
	switch {
	case m == nil:
		return kerr.UnknownMemberID
	case !transactional && m.classic == nil && !r.MemberEpochs:
		return kerr.UnsupportedVersion
	case r.Generation == m.epoch:
		return nil
	case r.Generation >= 0 && r.Generation < m.epoch && !slices.ContainsFunc(r.Offsets, func(o Offset) bool {
		return len(o.Metadata) <= maxMetadata && !m.had(o.Partition, r.Generation)
	}):
		return nil
	case transactional:
		return kerr.IllegalGeneration
	}
	return m.staleEpoch()
}

// staleEpoch is the error for a request in another epoch than the member's.
func (m *consumerMember) staleEpoch() *kerr.Error {
	if m.classic != nil {
		return kerr.IllegalGeneration
	}
	return kerr.StaleMemberEpoch
}

// had reports whether a member has a partition, be it to be given up, that it had in an epoch.
func (m *consumerMember) had(p Partition, epoch int32) bool {
	since, known := m.since[p]
	return known && since <= epoch
}

// MayFetch checks the sender of an OffsetFetch to a KIP-848 group, if it says who it is. Others may fetch from everywhere.
func (c *Coordinator) MayFetch(name string, memberID *string, epoch int32) *kerr.Error {
	g := c.groups[name]
	if g == nil || g.consumer == nil || memberID == nil && epoch < 0 {
		return nil
	}
	var m *consumerMember
	if memberID != nil {
		m = g.consumer.members[*memberID]
	}
	switch {
	case m == nil:
		return kerr.UnknownMemberID
	case m.epoch != epoch:
		return m.staleEpoch()
	}
	return nil
}

// Fetched is one committed offset. Err is kerr.UnstableOffsetCommit if a stable one was asked for and an open transaction
// has staged another.
type Fetched struct {
	Offset
	Err *kerr.Error
}

// FetchOffsets returns what group has committed for partitions; for those without, offset -1 and no error. If partitions
// is nil it returns all that the group has, in the order of topic ids.
func (c *Coordinator) FetchOffsets(name string, partitions []Partition, requireStable bool) []Fetched {
	g := c.groups[name]
	if partitions == nil {
		partitions = c.known(name, g)
	}
	out := make([]Fetched, 0, len(partitions))
	for _, p := range partitions {
		f := Fetched{Offset: Offset{Partition: p, At: -1, LeaderEpoch: -1}}
		if requireStable && c.unstable(name, p) {
			f.Err = kerr.UnstableOffsetCommit
		} else if g != nil {
			if o, ok := g.offsets[p]; ok {
				f.At, f.LeaderEpoch, f.Metadata = o.at, o.leaderEpoch, o.metadata
			}
		}
		out = append(out, f)
	}
	return out
}

// known returns the partitions that a group has offsets for, committed or staged.
func (c *Coordinator) known(name string, g *group) []Partition {
	var out []Partition
	if g != nil {
		for p := range g.offsets {
			out = append(out, p)
		}
	}
	for _, groups := range c.staged {
		for p := range groups[name] {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, comparePartitions)
	return slices.Compact(out)
}

func (c *Coordinator) unstable(name string, p Partition) bool {
	for _, groups := range c.staged {
		if _, ok := groups[name][p]; ok {
			return true
		}
	}
	return false
}

// EndTransaction returns the record that applies or drops what producerID has staged, or nil if that is nothing. It
// belongs into the entry that holds the transaction's markers.
func (c *Coordinator) EndTransaction(producerID int64, commit bool) []byte {
	if len(c.staged[producerID]) == 0 {
		return nil
	}
	return encodeEnd(producerID, commit)
}

// ForgetTopic returns the record that drops all offsets of a deleted topic, or nil if there are none.
func (c *Coordinator) ForgetTopic(id TopicID) []byte {
	has := func(m map[Partition]offset) bool {
		for p := range m {
			if p.Topic == id {
				return true
			}
		}
		return false
	}
	for _, g := range c.groups {
		if has(g.offsets) {
			return encodeForget(id)
		}
	}
	for _, groups := range c.staged {
		for _, m := range groups {
			if has(m) {
				return encodeForget(id)
			}
		}
	}
	return nil
}
