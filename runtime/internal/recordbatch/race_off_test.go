//go:build !race

package recordbatch

// raceEnabled has long tests do less: under the race detector they look for races, not for every crash point.
const raceEnabled = false
