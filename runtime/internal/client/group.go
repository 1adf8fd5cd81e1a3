package client

import (
	"context"
	"time"
)

// JoinRequest asks to become, or to stay, a member of the next generation (classic protocol, "consumer" type).
type JoinRequest struct {
	Group            string
	MemberID         string // empty at first
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
	LeaderID   string
	Members    []JoinMember // only the leader gets them
}

// JoinMember is one member, as the leader sees it.
type JoinMember struct {
	MemberID string
	Metadata []byte
}

// Join sends a JoinGroup request and waits for the answer, which may take as long as the rebalance time-out. An
// ErrMemberIDRequired carries the id to join with in the answer.
func (c *Client) Join(ctx context.Context, r JoinRequest) (JoinAnswer, error) {
	return JoinAnswer{}, errPending
}

// Sync sends a SyncGroup request; the leader's has the assignment of every member. It returns this member's.
func (c *Client) Sync(ctx context.Context, id Identity, protocol string, assignment map[string][]byte) ([]byte, error) {
	return nil, errPending
}

// Heartbeat tells the coordinator that the member lives.
func (c *Client) Heartbeat(ctx context.Context, id Identity) error { return errPending }

// Leave takes the member out of the group.
func (c *Client) Leave(ctx context.Context, id Identity, reason string) error { return errPending }
