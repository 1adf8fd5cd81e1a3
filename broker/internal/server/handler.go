package server

import (
	"context"
	"crypto/tls"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/wire"
)

// Peer is what a handler may know about the connection of a request.
type Peer struct {
	// Host is the client's address as groups report it, such as "/127.0.0.1".
	Host string
	// AdvertisedHost and AdvertisedPort are where this client is told to reach the broker: they depend on the way by
	// which it came.
	AdvertisedHost string
	AdvertisedPort int32
	// InProcess says that the client is part of this process.
	InProcess bool
	// TLS is the state of an encrypted connection after its handshake; nil: the connection is in the clear.
	TLS *tls.ConnectionState
	// Session belongs to the Handler, which may set it in Admit and in Handle: both are called by the connection's reader.
	Session any
}

// Request is one decoded request and where it came from.
type Request struct {
	wire.Request
	Peer *Peer
}

// Handler serves requests.
type Handler interface {
	// Admit is called before the first request, after a TLS handshake.
	Admit(peer *Peer)
	// Authenticated reports whether the peer has proved who it is, as far as it has to. One that has not gets little memory and little
	// time. It is called by the connection's reader.
	Authenticated(peer *Peer) bool
	// Served returns the versions of key that Handle takes.
	Served(key int16) (wire.Range, bool)
	// Handle does what has to happen in the order of arrival and returns without waiting for a disk or another client.
	// It is called by the connection's reader. ctx ends with the connection.
	Handle(ctx context.Context, req *Request) Reply
}

// Observer is told of what goes by. It is called by every connection's goroutines at once, must not block, and must not keep bodies.
type Observer interface {
	// Request is a request of a key that was decoded, of that many bytes.
	Request(key int16, bytes int)
	// Response is the answer to it: of that many bytes, or 0 if there is none because of err.
	Response(key int16, bytes int64, resp Response, err error)
	// Refused is a connection that was not served.
	Refused()
}

// Reply is what is left to do for a request: the connection's writer calls it when all earlier responses have been
// written. It may block, until ctx ends, which is when the connection closes. An error closes the connection without an
// answer.
type Reply func(ctx context.Context) (Response, error)

// Response is what goes out for one request.
type Response struct {
	// Body is encoded by the writer, with its header.
	Body kmsg.Response
	// Frame is a whole response, header included, in pieces that may alias stored bytes. It is used if Body is nil.
	// Both nil means that the request has no answer.
	Frame [][]byte
	// Written, if not nil, is called once Frame is no longer used; it is not if the connection ends before that.
	Written func()
	// Code is an error code that Frame carries, for an Observer; 0: none.
	Code int16
	// Close, if not nil, is why the connection ends once the response is written.
	Close error
}

// Now returns a Reply with a response that is ready.
func Now(body kmsg.Response) Reply {
	return func(context.Context) (Response, error) { return Response{Body: body}, nil }
}

// Last returns a Reply with a response that is ready, and the last one: the connection closes after it, because of err.
func Last(body kmsg.Response, err error) Reply {
	return func(context.Context) (Response, error) { return Response{Body: body, Close: err}, nil }
}

// Fail returns a Reply that closes the connection.
func Fail(err error) Reply {
	return func(context.Context) (Response, error) { return Response{}, err }
}
