// Package cluster gives an example its log, in the shape that the flags ask for:
//
//   - embedded (no flag): a broker inside the process, its data below -dir, no listener;
//   - stand-alone (-brokers, pointing at "millrace broker"): any number of processes share it;
//   - Kafka (-brokers, pointing at a cluster): the same flag, the same program.
//
// The program sees no difference: addresses and, for the embedded broker, a dial function.
package cluster
