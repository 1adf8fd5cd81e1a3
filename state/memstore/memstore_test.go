package memstore_test

import (
	"testing"

	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
	"github.com/millrace-io/millrace/state/statetest"
)

type memory struct{}

func (memory) Open() (state.Engine, error) { return memstore.New(), nil }
func (memory) Lasting() bool               { return false }

func TestConformance(t *testing.T) {
	statetest.Run(t, func(testing.TB) statetest.Storage { return memory{} })
}
