package topology

// Partitions are the partition counts that a topology runs with. Topics are named as nodes hold them (Topology.Internal).
type Partitions struct {
	Topics map[string]int32 // of every source topic, repartition topics included
	Tasks  map[int32]int32  // of every sub-topology by its number: how many tasks it has
}

// InternalTopic is a topic that the runtime creates for an application.
type InternalTopic struct {
	Name       string // full name
	Store      string // changelog: the store's name; empty for a repartition topic
	Partitions int32
	Settings   map[string]string
}

// Partition computes the partition counts that t runs with, from those of its user topics (by name). It is a pure
// function of both. Missing topics, co-partitioning that does not hold and counts that conflict are reported
// all at once; a missing topic as an *UnknownTopicError.
func (t *Topology) Partition(userTopics map[string]int32) (Partitions, error) {
	return Partitions{}, nil
}

// UnknownTopicError is a source topic whose partition count is not known: it does not exist in the log.
type UnknownTopicError struct {
	Topic string
	Node  string // a source that reads it
}

func (e *UnknownTopicError) Error() string {
	return "source " + e.Node + ": topic " + e.Topic + " does not exist; create it before starting"
}

// InternalTopics returns the repartition and changelog topics of t, sorted by name, with partition counts from p and the
// settings that Kafka Streams gives them.
func (t *Topology) InternalTopics(applicationID string, p Partitions) []InternalTopic { return nil }

// UserTopics returns the topics that t reads and does not own, sorted: sources and global tables.
func (t *Topology) UserTopics() []string { return nil }
