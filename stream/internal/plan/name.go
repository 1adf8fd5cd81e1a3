package plan

import (
	"fmt"
	"strings"
)

// Prefixes of generated names, Kafka Streams' own.
const (
	Source      = "KSTREAM-SOURCE-"
	Sink        = "KSTREAM-SINK-"
	Filter      = "KSTREAM-FILTER-"
	Map         = "KSTREAM-MAP-"
	MapValues   = "KSTREAM-MAPVALUES-"
	FlatMap     = "KSTREAM-FLATMAP-"
	FlatMapVals = "KSTREAM-FLATMAPVALUES-"
	SelectKey   = "KSTREAM-KEY-SELECT-"
	Peek        = "KSTREAM-PEEK-"
	Foreach     = "KSTREAM-FOREACH-"
	Print       = "KSTREAM-PRINTER-"
	Merge       = "KSTREAM-MERGE-"
	Branch      = "KSTREAM-BRANCH-"
	Process     = "KSTREAM-PROCESSOR-"
	ProcessVals = "KSTREAM-PROCESSVALUES-"
	Repartition = "KSTREAM-REPARTITION-"
	Aggregate   = "KSTREAM-AGGREGATE-"
	Reduce      = "KSTREAM-REDUCE-"
	GlobalJoin  = LeftJoin // of the inner join too, as in Kafka Streams
	Join        = "KSTREAM-JOIN-"
	LeftJoin    = "KSTREAM-LEFTJOIN-"
	ToTable     = "KSTREAM-TOTABLE-"
	TableSource = "KTABLE-SOURCE-"
	ToStream    = "KTABLE-TOSTREAM-"
	TableFilter = "KTABLE-FILTER-"
	TableMap    = "KTABLE-MAPVALUES-"
	TableTrans  = "KTABLE-TRANSFORMVALUES-"
	TableSelect = "KTABLE-SELECT-"
	TableAgg    = "KTABLE-AGGREGATE-"
	TableReduce = "KTABLE-REDUCE-"
	TableMerge  = "KTABLE-MERGE-"
	JoinThis    = "KTABLE-JOINTHIS-"
	JoinOther   = "KTABLE-JOINOTHER-"
	TableSink   = "KTABLE-SINK-"
	Suppress    = "KTABLE-SUPPRESS-"
	Cogroup     = "COGROUPKSTREAM-AGGREGATE-"
	CogroupAll  = "COGROUPKSTREAM-MERGE-"

	ForeignRegistration = "KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-"
	ForeignProcessor    = "KTABLE-FK-JOIN-SUBSCRIPTION-PROCESSOR-"
	ForeignResponse     = "KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-"
	ForeignStore        = "KTABLE-FK-JOIN-SUBSCRIPTION-STATE-STORE-"
	ForeignResolver     = "KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-RESOLVER-PROCESSOR-"
	ForeignOutput       = "KTABLE-FK-JOIN-OUTPUT-"
	storeInfix          = "STATE-STORE-"
	maxNameBytes        = 249 // of a Kafka topic, which names end up in (D-150)
)

// names generates and reserves names. The counter runs over everything that a builder makes.
type names struct {
	next int
}

// generate returns prefix with the next number in ten digits.
func (n *names) generate(prefix string) string {
	s := fmt.Sprintf("%s%010d", prefix, n.next)
	n.next++
	return s
}

// Name returns the name of an operator: the user's, else a generated one. The user's burns its number all the same, so that
// naming one operator renames no other.
func (g *Graph) Name(given, prefix string) string {
	generated := g.names.generate(prefix)
	if given == "" {
		return generated
	}
	g.checkName("operator", given)
	return given
}

// Suffixed is Name for one of several nodes that an operator makes: given is the operator's name, to which suffix is added.
func (g *Graph) Suffixed(given, suffix, prefix string) string {
	if given != "" {
		given += suffix
	}
	return g.Name(given, prefix)
}

// NameUnburned is Name for the operators whose number Kafka Streams does not burn when they are named.
func (g *Graph) NameUnburned(given, prefix string) string {
	if given == "" {
		return g.names.generate(prefix)
	}
	g.checkName("operator", given)
	return given
}

// StoreName returns the name of a store: the user's, else a generated one. The user's does not burn a number, so that naming
// a store renames what comes later.
func (g *Graph) StoreName(given, prefix string) string {
	if given == "" {
		return g.names.generate(prefix + storeInfix)
	}
	g.checkName("store", given)
	return given
}

// checkName reports a name that could not be part of a topic's name.
func (g *Graph) checkName(what, name string) {
	if err := Legal(name); err != nil {
		g.Fail("%s name %q: %w", what, name, err)
	}
}

// Legal returns what is wrong with a user's name, nil if nothing is (D-150).
func Legal(name string) error {
	bad := strings.IndexFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '_' || r == '-')
	})
	switch {
	case name == "":
		return fmt.Errorf("it is empty")
	case name == "." || name == "..":
		return fmt.Errorf("the log does not allow it as a topic")
	case len(name) > maxNameBytes:
		return fmt.Errorf("it has %d characters, at most %d are allowed", len(name), maxNameBytes)
	case bad >= 0:
		return fmt.Errorf("only letters, digits, '.', '_' and '-' are allowed, not %q", []rune(name[bad:])[0])
	}
	return nil
}
