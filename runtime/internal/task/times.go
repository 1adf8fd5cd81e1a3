package task

// A task keeps event times for its operators that outlive it: they are committed with its offsets, and given to the task that goes on
// there (DESIGN D9, D-88). Their names are those of stores; "/", which no store's name has, keeps the two kinds apart.
const operatorTimeSuffix = "/time"

// savedTime is one of them. Operators hold pointers to at.
type savedTime struct {
	name string
	at   int64 // -1: none yet
}

// OperatorTime implements topology.Scope.
func (s *scope) OperatorTime(store string) *int64 { return s.savedTime(store + operatorTimeSuffix) }

// LastClose implements topology.Scope. The name is the one that Kafka Streams uses.
func (s *scope) LastClose(store string) *int64 { return s.savedTime(store) }

func (s *scope) savedTime(name string) *int64 {
	for _, t := range s.times {
		if t.name == name {
			return &t.at
		}
	}
	t := &savedTime{name: name, at: -1}
	for i := range s.cfg.Start {
		if at, ok := s.cfg.Start[i].Times[name]; ok {
			t.at = max(t.at, at)
		}
	}
	s.times = append(s.times, t)
	return &t.at
}

// savedTimes returns the times that are known, nil if there are none.
func (t *Task) savedTimes() map[string]int64 {
	var times map[string]int64
	for _, s := range t.times {
		if s.at < 0 {
			continue
		}
		if times == nil {
			times = make(map[string]int64, len(t.times))
		}
		times[s.name] = s.at
	}
	return times
}
