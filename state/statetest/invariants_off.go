//go:build !invariants

package statetest

const invariantsFactor = 1
