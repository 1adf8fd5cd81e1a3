//go:build race

package state_test

const raceEnabled = true // sync.Pool then drops what it is given at random
