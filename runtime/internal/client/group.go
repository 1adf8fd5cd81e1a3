package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupType is the protocol type of consumers. With it, Kafka's tools show members, partitions and lag of the group.
const groupType = "consumer"

// JoinRequest asks to become, or to stay, a member of the next generation (classic protocol, "consumer" type).
type JoinRequest struct {
	Group            string
	MemberID         string // empty at first
	InstanceID       string // makes the member static, see Identity
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration
	Protocol         string // name of the assignor
	Metadata         []byte // subscription in the consumer protocol's format
	Reason           string // for the broker's log (KIP-800)
}

// JoinAnswer is the answer to a JoinRequest.
type JoinAnswer struct {
	MemberID   string
	Generation int32
	// Leader is set if this member has to make the assignment of the Members. A static member that comes back into a
	// group that is stable leads without having to.
	Leader  bool
	Members []JoinMember
}

// JoinMember is one member, as the leader sees it.
type JoinMember struct {
	MemberID string
	Metadata []byte
}

// Join sends a JoinGroup request and waits for the answer, which may take as long as the rebalance time-out. An
// ErrMemberIDRequired carries the id to join with in the answer.
func (c *Client) Join(ctx context.Context, r JoinRequest) (JoinAnswer, error) {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = r.Group, r.MemberID, groupType
	req.SessionTimeoutMillis = int32(r.SessionTimeout.Milliseconds())
	req.RebalanceTimeoutMillis = int32(r.RebalanceTimeout.Milliseconds())
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name, protocol.Metadata = r.Protocol, r.Metadata
	req.Protocols = append(req.Protocols, protocol)
	req.InstanceID, req.Reason = optional(r.InstanceID), optional(r.Reason)
	resp, err := req.RequestWith(ctx, c.conn)
	if err != nil {
		return JoinAnswer{}, doing(answered(err, 0), "join group %q", r.Group)
	}
	answer := JoinAnswer{MemberID: resp.MemberID, Generation: resp.Generation, Leader: resp.LeaderID == resp.MemberID && !resp.SkipAssignment}
	switch err := kerr.ErrorForCode(resp.ErrorCode); {
	case errors.Is(err, kerr.MemberIDRequired):
		return answer, doing(ErrMemberIDRequired, "join group %q", r.Group)
	case errors.Is(err, kerr.InconsistentGroupProtocol):
		return JoinAnswer{}, doing(fmt.Errorf("%w: members of another kind are in it; stop them, or if they have just been stopped "+
			"(Kafka Streams leaves no group then), wait until their session ends", err), "join group %q", r.Group)
	case err != nil:
		return JoinAnswer{}, doing(err, "join group %q", r.Group)
	}
	for _, m := range resp.Members {
		answer.Members = append(answer.Members, JoinMember{m.MemberID, m.ProtocolMetadata})
	}
	return answer, nil
}

// Sync sends a SyncGroup request; the leader's has the assignment of every member. It returns this member's.
func (c *Client) Sync(ctx context.Context, id Identity, protocol string, assignment map[string][]byte) ([]byte, error) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = id.Group, id.MemberID, id.Generation
	req.InstanceID = id.instanceID()
	req.ProtocolType, req.Protocol = kmsg.StringPtr(groupType), kmsg.StringPtr(protocol)
	for _, member := range slices.Sorted(maps.Keys(assignment)) {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = member, assignment[member]
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	resp, err := req.RequestWith(ctx, c.conn)
	if err != nil {
		return nil, doing(answered(err, 0), "sync group %q", id.Group)
	}
	if err := rebalancing(resp.ErrorCode); err != nil {
		return nil, doing(err, "sync group %q", id.Group)
	}
	return resp.MemberAssignment, nil
}

// Heartbeat tells the coordinator that the member lives.
func (c *Client) Heartbeat(ctx context.Context, id Identity) error {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = id.Group, id.MemberID, id.Generation
	req.InstanceID = id.instanceID()
	resp, err := req.RequestWith(ctx, c.conn)
	if err != nil {
		return doing(answered(err, 0), "heartbeat to group %q", id.Group)
	}
	return doing(rebalancing(resp.ErrorCode), "heartbeat to group %q", id.Group)
}

// Leave takes the member out of the group. A member that the group does not know has left.
func (c *Client) Leave(ctx context.Context, id Identity, reason string) error {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = id.Group, id.MemberID
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID, m.Reason = id.MemberID, id.instanceID(), optional(reason)
	req.Members = append(req.Members, m)
	resp, err := req.RequestWith(ctx, c.conn)
	code := int16(0)
	if err == nil {
		code = resp.ErrorCode
		if code == 0 && len(resp.Members) > 0 {
			code = resp.Members[0].ErrorCode
		}
	}
	if err = answered(err, code); errors.Is(err, kerr.UnknownMemberID) {
		return nil
	}
	return doing(err, "leave group %q", id.Group)
}

// rebalancing turns the code of an answer into an error, with ErrRebalance for a rebalance.
func rebalancing(code int16) error {
	err := kerr.ErrorForCode(code)
	if errors.Is(err, kerr.RebalanceInProgress) {
		return fmt.Errorf("%w: %w", ErrRebalance, err)
	}
	return err
}
