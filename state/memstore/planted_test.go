//go:build planted

package memstore_test

import (
	"testing"

	"github.com/millrace-io/millrace/state/statetest"
)

func TestPlanted(t *testing.T) {
	statetest.Planted(t, func(testing.TB) statetest.Storage { return memory{} })
}
