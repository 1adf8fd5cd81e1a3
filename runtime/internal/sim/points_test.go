package sim

// The named crash points of a task loop.
const (
	c1  = "C1 after poll"
	c2  = "C2 first record buffered"
	c3  = "C3 some batches acknowledged"
	c4  = "C4 flush done"
	c5  = "C5 offsets written"
	c6  = "C6 offsets answered"
	c7  = "C7 end written"
	c8  = "C8 end answered, store not applied"
	c9  = "C9 inside the store's batch"
	c10 = "C10 applied, before the next poll"
	c11 = "C11 in restore"
	c12 = "C12 task promoted where its state was"
	c13 = "C13 in revoke, before the last commit"
	c14 = "C14 between join and sync"
	c15 = "C15 opening the store"
	c16 = "C16 clean shutdown"
)

var points = []string{c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16}

// armed is where an instance is to be killed.
type armed struct {
	point string
	after int // how often it passes before
}

// pass is called by an instance's goroutines where a point is. It kills the instance if that is the armed one, and reports
// whether it is dead: then the caller goes no further.
func (in *instance) pass(point string) (dead bool) {
	in.world.mu.Lock()
	defer in.world.mu.Unlock()
	return in.passLocked(point)
}

func (in *instance) passLocked(point string) (dead bool) {
	if in.dead || in.armed.point != point {
		return in.dead
	}
	if in.armed.after > 0 {
		in.armed.after--
		return false
	}
	in.kill(point)
	return true
}
