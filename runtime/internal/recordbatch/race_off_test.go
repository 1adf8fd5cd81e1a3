//go:build !race

package recordbatch

// raceEnabled leaves out what takes too long under the race detector.
const raceEnabled = false
