// Package access decides who may do what: SCRAM credentials of users, access control lists, and the SASL exchanges. It does no I/O and
// reads no clock; what changes it are records, which go through the journal (commitlog.Machine).
//
// # Nouns
//
// A principal is who a connection has proved to be, such as User:alice. A Binding is one access control entry: it allows or denies a
// principal one operation, from one host or any, on the resources of a literal name, of any name ("*"), or of a prefix. Rules are all
// bindings at a moment, made for asking. A Credential is what is kept of a password: enough to check it, not to know it.
//
// # Invariants
//
//   - A1: a denial counts more than any permission; what nobody allows is not allowed, unless it is configured otherwise for resources
//     that no binding is about. Super users are asked about first. All as in Kafka's StandardAuthorizer.
//   - A2: Rules do not change: a change of the bindings makes new ones. So asking takes no lock.
//   - A3: a password, or what could stand for it in another exchange, is never part of a record, an error or a log line.
//   - A4: comparisons with a secret take the same time whatever they find, and a user who is not there is told the same as one whose
//     password is wrong (KIP-84, RFC 5802).
package access
