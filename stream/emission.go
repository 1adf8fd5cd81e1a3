package stream

import (
	"time"

	"github.com/millrace-io/millrace/stream/internal/operator"
)

// emission says when a windowed aggregation emits. The zero emission emits updates.
type emission struct {
	onClose  bool
	interval time.Duration
}

// holdClosed is how much longer than their retention windows are kept where they are emitted when they close: the look for closed
// windows, once in an interval of the wall clock, may come later in event time.
const holdClosed = time.Minute

func (e emission) apply(s *operator.Store) {
	s.OnClose, s.EmitInterval = e.onClose, e.interval.Milliseconds()
}

// EmitOnClose makes the aggregation emit each window once, when it has closed, and nothing before. It stands for Kafka Streams'
// EmitStrategy.onWindowClose.
//
// A window is emitted with a later record of this operator, of any key, the oldest first, at most once in an interval of the
// wall clock: a second unless another one is given, 0 to look with every record. It has its own time, the headers of the record that it
// comes with, and no old value. A window whose aggregate was deleted is not emitted.
func (w WindowedStream[K, V]) EmitOnClose(interval ...time.Duration) WindowedStream[K, V] {
	w.emit = onClose(interval)
	return w
}

// EmitOnClose is [WindowedStream.EmitOnClose] for sessions: their time is their end.
func (w SessionStream[K, V]) EmitOnClose(interval ...time.Duration) SessionStream[K, V] {
	w.emit = onClose(interval)
	return w
}

func onClose(interval []time.Duration) emission {
	e := emission{onClose: true, interval: emitInterval}
	if len(interval) > 0 {
		e.interval = interval[0]
	}
	return e
}
