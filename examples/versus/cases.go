package main

// benchCase is one job over one input.
type benchCase struct {
	id      string
	job     string
	records int64 // at full size
	keys    int64
	inputs  func(c sized, n names) []input
	// reads is how many records the application reads, over all its parts.
	reads func(c sized) int64
	// want makes what the output must be.
	want func(c sized) expectation
	// aim is what the project has set itself, in CPU nanoseconds a record on the embedded broker; 0: nothing.
	aim float64
}

// sized is a case at the size that was asked for.
type sized struct {
	benchCase
	n int64 // records of the stream, or of each of the two
}

const (
	someKeys  = 10_000
	tableRows = 100_000
)

func cases() []benchCase {
	return []benchCase{
		{"passthrough", "passthrough", 12_000_000, someKeys, oneStream, once, wantIncremented, 400},
		{"count-10k", "count", 10_000_000, someKeys, oneStream, once, wantCounts, 300},
		{"count-1m", "count", 3_000_000, 1_000_000, oneStream, once, wantCounts, 1700},
		{"window", "window", 4_000_000, someKeys, oneStream, once, wantWindows, 800},
		{"join", "join", 3_000_000, tableRows, streamAndTable, func(c sized) int64 { return c.n + tableRows }, wantRows, 900},
		{"repartition", "repartition", 4_000_000, someKeys, oneStream, twice, wantSecondCounts, 800},
		{"streamjoin", "streamjoin", 2_000_000, someKeys, twoStreams, twice, wantPairs, 0},
		{"session", "session", 4_000_000, someKeys, oneStream, once, wantSessions, 0},
		{"suppress", "suppress", 4_000_000, someKeys, oneStream, once, wantFinalWindows, 0},
	}
}

func once(c sized) int64  { return c.n }
func twice(c sized) int64 { return 2 * c.n }

func oneStream(c sized, n names) []input {
	return []input{streamInput(n.in, streamSeed, c.n, c.keys)}
}

func streamAndTable(c sized, n names) []input {
	return []input{tableInput(n.other, tableRows), streamInput(n.in, streamSeed, c.n, c.keys)}
}

func twoStreams(c sized, n names) []input {
	return []input{streamInput(n.in, streamSeed, c.n, c.keys), streamInput(n.other, rightSeed, c.n, c.keys)}
}

// startCase is an application that starts: with a full changelog that it has to restore, or with nothing. The state directory is empty.
type startCase struct {
	id      string
	records int64 // of the changelog, at full size
}

func startCases() []startCase {
	return []startCase{{"restore", 10_000_000}, {"start", 0}}
}
