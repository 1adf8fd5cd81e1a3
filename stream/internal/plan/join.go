package plan

// Prefixes of the nodes of stream-stream joins, Kafka Streams' own.
const (
	StreamKeep  = "KSTREAM-WINDOWED-"
	StreamThis  = "KSTREAM-JOINTHIS-"
	StreamOther = "KSTREAM-JOINOTHER-"
	OuterThis   = "KSTREAM-OUTERTHIS-"
	OuterOther  = "KSTREAM-OUTEROTHER-"
	OuterShared = "KSTREAM-OUTERSHARED-"
)

// NameBoth is Suffixed, and returns the generated name too: stores are called after it although their operator has another.
func (g *Graph) NameBoth(given, suffix, prefix string) (name, generated string) {
	generated = g.names.generate(prefix)
	if given == "" {
		return generated, generated
	}
	g.checkName("operator", given+suffix)
	return given + suffix, generated
}
