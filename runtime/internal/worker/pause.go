package worker

import "context"

// Pause stops processing, punctuation and the restoration of tasks, or lets them go on. What was processed is committed; inputs are
// fetched until their buffers are full. Tasks move, and are released, as ever.
func (w *Worker) Pause(ctx context.Context, on bool) error {
	return w.do(ctx, func(ctx context.Context) error {
		if on == w.paused {
			return nil
		}
		specs := w.cancelAll()
		w.paused = on
		w.prepare(ctx, specs) // holds them back while it is paused
		w.publish()
		w.cfg.Changed()
		return nil
	})
}
