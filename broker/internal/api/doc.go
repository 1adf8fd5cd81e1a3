// Package api answers requests: one file for each key, each of which opens with the key, the versions served, what each
// version added, and the behaviour that is left out.
//
// A handler has two halves. The first runs on the connection's reader, in the order of arrival, and enqueues whatever
// changes the broker. The second is the server.Reply that it returns: it runs on the connection's writer, waits until
// what the answer rests on is durable, and gives the answer. Nothing is told that a crash could take back.
//
// Handlers hold no state but the log, the coordinator and the configuration; any number may run at once.
package api
