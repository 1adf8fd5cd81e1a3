package api

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/coordinator"
	"github.com/millrace-io/millrace/broker/internal/server"
	"github.com/millrace-io/millrace/broker/internal/wire"
)

// nodeID is the broker's id in metadata. There is one broker.
const nodeID = 1

// Config says how requests are answered. All fields are required but Draining and those of security.
type Config struct {
	AutoCreateTopics  bool
	DefaultPartitions int32
	MaxRequestBytes   int
	OffsetsRetention  time.Duration
	Rack              string // of the broker; empty: none

	// What members of KIP-848 groups are told, and the policy of their migration by Kafka's name.
	GroupHeartbeatInterval, GroupSessionTimeout time.Duration
	GroupMigration                              string

	// Now is the wall clock, for the end of sessions. Nil if there is none.
	Now func() time.Time

	// Mechanisms are the SASL mechanisms of which clients that come by a listener have to use one. None: they need not authenticate.
	Mechanisms []string
	// SessionLifetime is after how long a client has to authenticate again; 0: never.
	SessionLifetime time.Duration
	// Authorize has every request checked against the access control entries.
	Authorize bool
	// SuperUsers are principals that may do everything.
	SuperUsers map[string]bool
	// AllowIfNoACL lets everybody do everything with resources that no entry is about.
	AllowIfNoACL bool

	// Draining is closed when the broker is about to close: fetches stop waiting.
	Draining <-chan struct{}
}

// API is the server.Handler.
type API struct {
	cfg      Config
	keys     map[int16]key
	log      *commitlog.Log
	coord    *coordinator.Coordinator
	saltKey  []byte // see access.NewExchange
	sessions *fetchSessions
}

// New returns the handler of requests to log and coord.
func New(cfg Config, log *commitlog.Log, coord *coordinator.Coordinator) *API {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &API{cfg: cfg, keys: servedKeys(), log: log, coord: coord, saltKey: []byte(rand.Text()), sessions: newFetchSessions()}
}

// Served implements server.Handler.
func (a *API) Served(key int16) (wire.Range, bool) {
	k, ok := a.keys[key]
	return k.served, ok
}

// Handle implements server.Handler. req is of a version that is served, or an ApiVersions request of any.
func (a *API) Handle(_ context.Context, req *server.Request) server.Reply {
	if err := a.sessionOf(req.Peer).permits(req.Key, a.cfg.Now()); err != nil {
		return server.Fail(err)
	}
	return a.keys[req.Key].handle(a, req)
}

// key is one served request key.
type key struct {
	// announced is what ApiVersions tells. It is wider than served only for Produce; see its file.
	announced, served wire.Range
	handle            func(*API, *server.Request) server.Reply
}

// serve makes the entry of a key whose versions lo to hi are served by handle.
func serve[R kmsg.Request](lo, hi int16, handle func(*API, *server.Request, R) server.Reply) key {
	r := wire.Range{Min: lo, Max: hi}
	return key{announced: r, served: r, handle: func(a *API, req *server.Request) server.Reply {
		return handle(a, req, req.Body.(R))
	}}
}

// announce widens what is announced downwards.
func (k key) announce(lo int16) key {
	k.announced.Min = lo
	return k
}

// servedKeys returns every key that is served.
func servedKeys() map[int16]key {
	return map[int16]key{
		0:  serve(3, 13, (*API).produce).announce(0),
		1:  serve(4, 18, (*API).fetch),
		2:  serve(1, 11, (*API).listOffsets),
		3:  serve(0, 13, (*API).metadata),
		8:  serve(2, 10, (*API).offsetCommit),
		9:  serve(1, 10, (*API).offsetFetch),
		10: serve(0, 6, (*API).findCoordinator),
		11: serve(0, 9, (*API).joinGroup),
		12: serve(0, 4, (*API).heartbeat),
		13: serve(0, 5, (*API).leaveGroup),
		14: serve(0, 5, (*API).syncGroup),
		15: serve(0, 6, (*API).describeGroups),
		16: serve(0, 5, (*API).listGroups),
		17: serve(0, 1, (*API).saslHandshake),
		18: {
			announced: wire.Range{Min: 0, Max: 4}, served: wire.Range{Min: 0, Max: 4},
			handle: (*API).apiVersions,
		},
		19: serve(2, 7, (*API).createTopics),
		20: serve(1, 6, (*API).deleteTopics),
		21: serve(0, 2, (*API).deleteRecords),
		22: serve(0, 5, (*API).initProducerID),
		23: serve(2, 4, (*API).offsetForLeaderEpoch),
		24: serve(0, 3, (*API).addPartitionsToTxn),
		25: serve(0, 4, (*API).addOffsetsToTxn),
		26: serve(0, 5, (*API).endTxn),
		28: serve(0, 5, (*API).txnOffsetCommit),
		29: serve(1, 3, (*API).describeACLs),
		30: serve(1, 3, (*API).createACLs),
		31: serve(1, 3, (*API).deleteACLs),
		32: serve(1, 4, (*API).describeConfigs),
		33: serve(0, 2, (*API).alterConfigs),
		35: serve(1, 4, (*API).describeLogDirs),
		36: serve(0, 2, (*API).saslAuthenticate),
		37: serve(0, 3, (*API).createPartitions),
		42: serve(0, 2, (*API).deleteGroups),
		44: serve(0, 1, (*API).incrementalAlterConfigs),
		46: serve(0, 0, (*API).listPartitionReassignments),
		47: serve(0, 0, (*API).offsetDelete),
		50: serve(0, 0, (*API).describeUsers),
		51: serve(0, 0, (*API).alterUsers),
		60: serve(0, 2, (*API).describeCluster),
		61: serve(0, 0, (*API).describeProducers),
		65: serve(0, 0, (*API).describeTransactions),
		66: serve(0, 2, (*API).listTransactions),
		68: serve(0, 1, (*API).consumerGroupHeartbeat),
		69: serve(0, 1, (*API).consumerGroupDescribe),
		75: serve(0, 0, (*API).describeTopicPartitions),
	}
}

// durable returns a Reply with body once lsn is durable. If it will never be, the connection closes: the client cannot
// be told an outcome.
func (a *API) durable(lsn commitlog.LSN, err error, body kmsg.Response) server.Reply {
	if err != nil {
		return server.Fail(err)
	}
	return func(ctx context.Context) (server.Response, error) {
		if err := a.log.Wait(ctx, lsn); err != nil {
			return server.Response{}, err
		}
		return server.Response{Body: body}, nil
	}
}
