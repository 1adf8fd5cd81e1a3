package api

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
)

// findTopic finds a topic by name, or by id from version byID of the request on. A request by id never falls back to a name:
// a topic that was deleted and created again is another one (KIP-516).
func (a *API) findTopic(name string, id [16]byte, version, byID int16) (commitlog.Topic, *kerr.Error) {
	if version >= byID {
		if t, ok := a.log.TopicByID(id); ok {
			return t, nil
		}
		return commitlog.Topic{ID: id}, kerr.UnknownTopicID
	}
	if t, ok := a.log.Topic(name); ok {
		return t, nil
	}
	return commitlog.Topic{Name: name}, kerr.UnknownTopicOrPartition
}

// partition finds a partition of t; err is what was found wrong with the topic.
func (a *API) partition(t commitlog.Topic, index int32, err *kerr.Error) (*commitlog.Partition, *kerr.Error) {
	if err != nil {
		return nil, err
	}
	if p := a.log.Partition(t.ID, index); p != nil {
		return p, nil
	}
	return nil, kerr.UnknownTopicOrPartition
}

// checkEpoch compares the leader epoch that a client believes in with the partition's. -1 is none.
func checkEpoch(p *commitlog.Partition, epoch int32) *kerr.Error {
	switch current := p.LeaderEpoch(); {
	case epoch < 0 || epoch == current:
		return nil
	case epoch < current:
		return kerr.FencedLeaderEpoch
	default:
		return kerr.UnknownLeaderEpoch
	}
}
