package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/access"
	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/server"
)

// The operations and resources of access control, by shorter names.
const (
	opRead            = kmsg.ACLOperationRead
	opWrite           = kmsg.ACLOperationWrite
	opCreate          = kmsg.ACLOperationCreate
	opDelete          = kmsg.ACLOperationDelete
	opAlter           = kmsg.ACLOperationAlter
	opDescribe        = kmsg.ACLOperationDescribe
	opClusterAction   = kmsg.ACLOperationClusterAction
	opDescribeConfigs = kmsg.ACLOperationDescribeConfigs
	opAlterConfigs    = kmsg.ACLOperationAlterConfigs
	opIdempotentWrite = kmsg.ACLOperationIdempotentWrite

	onTopic   = kmsg.ACLResourceTypeTopic
	onGroup   = kmsg.ACLResourceTypeGroup
	onCluster = kmsg.ACLResourceTypeCluster
	onTxn     = kmsg.ACLResourceTypeTransactionalId
)

// may reports whether the client of a request may do something. It is asked while the request is handled, not in its Reply.
func (a *API) may(req *server.Request, op kmsg.ACLOperation, on kmsg.ACLResourceType, name string) bool {
	return a.granted(req, (*access.Rules).Ask, op, on, name)
}

// mayAny reports whether the client may do something with at least one resource of a type. As in Kafka a name that stands for those of
// which no entry knows is asked for first: AllowIfNoACL may allow it.
func (a *API) mayAny(req *server.Request, op kmsg.ACLOperation, on kmsg.ACLResourceType) bool {
	return a.may(req, op, on, "hardcode") || a.granted(req, (*access.Rules).AskAny, op, on, "")
}

func (a *API) granted(req *server.Request, ask func(*access.Rules, access.Question) access.Verdict, op kmsg.ACLOperation,
	on kmsg.ACLResourceType, name string) bool {
	if !a.cfg.Authorize {
		return true
	}
	s := a.sessionOf(req.Peer)
	if s.trusted {
		return true
	}
	v := ask(a.coord.Rules(), access.Question{Principal: s.principal, Host: s.host, Operation: op, Resource: on, Name: name})
	return v == access.Allowed || v == access.Unknown && a.cfg.AllowIfNoACL
}

// mayCluster is may for the cluster.
func (a *API) mayCluster(req *server.Request, op kmsg.ACLOperation) bool {
	return a.may(req, op, onCluster, access.ClusterName)
}

// denied returns the error of a client that may not do something, or nil.
func (a *API) denied(req *server.Request, op kmsg.ACLOperation, on kmsg.ACLResourceType, name string) *kerr.Error {
	if a.may(req, op, on, name) {
		return nil
	}
	switch on {
	case onTopic:
		return kerr.TopicAuthorizationFailed
	case onGroup:
		return kerr.GroupAuthorizationFailed
	case onTxn:
		return kerr.TransactionalIDAuthorizationFailed
	}
	return kerr.ClusterAuthorizationFailed
}

// topic finds a topic for a client that wants to do something with it. One that may not is told so, whether or not the topic is there.
func (a *API) topic(req *server.Request, op kmsg.ACLOperation, name string, id [16]byte, version, byID int16) (commitlog.Topic, *kerr.Error) {
	if version < byID {
		if err := a.denied(req, op, onTopic, name); err != nil {
			return commitlog.Topic{Name: name}, err
		}
	}
	t, err := a.findTopic(name, id, version, byID)
	if err == nil && version >= byID {
		err = a.denied(req, op, onTopic, t.Name)
	}
	return t, err
}

// topicNamed is topic for requests that know names only.
func (a *API) topicNamed(req *server.Request, op kmsg.ACLOperation, name string) (commitlog.Topic, *kerr.Error) {
	return a.topic(req, op, name, [16]byte{}, 0, 1)
}

// supported are the operations that make sense on a type of resource.
var supported = map[kmsg.ACLResourceType][]kmsg.ACLOperation{
	onTopic:   {opRead, opWrite, opCreate, opDelete, opAlter, opDescribe, opDescribeConfigs, opAlterConfigs},
	onGroup:   {opRead, opDelete, opDescribe, opDescribeConfigs, opAlterConfigs},
	onCluster: {opCreate, opAlter, opDescribe, opClusterAction, opDescribeConfigs, opAlterConfigs, opIdempotentWrite},
}

// operations returns what the client may do with a resource: a bit for each operation (KIP-430).
func (a *API) operations(req *server.Request, on kmsg.ACLResourceType, name string) (bits int32) {
	for _, op := range supported[on] {
		if a.may(req, op, on, name) {
			bits |= 1 << op
		}
	}
	return bits
}
