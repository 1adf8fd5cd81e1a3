// Package brokertest starts brokers for tests: in process, on a temporary directory or on a memory file system that can
// be crashed. A Broker gives addresses and a dial function, which any client takes; nothing here knows a client library.
//
//	b := brokertest.Start(t, brokertest.AutoCreate(4))
//	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers()...), kgo.Dialer(b.Dial))
package brokertest
