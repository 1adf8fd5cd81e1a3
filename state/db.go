package state

// DB is the committed state of one instance: every store partition that it holds, over one engine.
type DB struct{}

// Partition is the committed layer of one store partition.
type Partition struct{}

// Batch is a set of writes that an engine applies atomically.
type Batch struct{}
