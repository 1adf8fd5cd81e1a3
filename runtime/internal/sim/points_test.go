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
	c12 = "C12 standby promoted"
	c13 = "C13 in revoke, before the last commit"
	c14 = "C14 between join and sync"
	c15 = "C15 opening the store"
	c16 = "C16 clean shutdown"
)

// Those of the keeper of copies, and of a task that comes back.
const (
	k1 = "K1 in the batch of a copy"
	k2 = "K2 copy let go, before its task is given to a worker"
	k3 = "K3 warm-ups have caught up, before the group is told"
	k4 = "K4 task ready where its state was"
)

var points = []string{c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, k1, k2, k3, k4}

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
