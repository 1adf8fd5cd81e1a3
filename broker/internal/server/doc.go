// Package server owns connections: it accepts them, cuts requests out of them, hands these to a Handler in the order of
// arrival, and writes the responses in the same order.
//
// # One connection
//
// A connection has two goroutines. The reader reads a frame, decodes it behind the guard of package wire, and calls the
// Handler, which does whatever must happen in order and returns a Reply. The writer takes the Replies in order, awaits
// each and writes its response. So a request may start before the one ahead of it is durable (several produces of a
// connection are in the journal at once), and yet nothing is answered out of order.
//
// # Invariants
//
//   - S1: responses leave in the order of the requests.
//   - S2: a connection holds at most maxPipelined requests, and all connections together hold at most
//     Config.MaxInFlightBytes of requests, apart from a small allowance for each, so that large requests of some cannot
//     starve small ones of others. A frame takes what it says that it is, one above an eighth of that what has arrived of it, and of such
//     ones one is read at a time.
//   - S3: whatever is wrong with a request closes its connection and touches no other.
//   - S4: Shutdown returns after every goroutine that the server started has ended.
package server
