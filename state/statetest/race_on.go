//go:build race

package statetest

const raceFactor = 5
