package assign

// Task is one partition of one sub-topology: the unit that is moved.
type Task struct {
	Subtopology int32
	Partition   int32
}

// Instance is one member of the group, as it described itself.
type Instance struct {
	ID       string // member id; unique
	Capacity int    // number of workers; less than 1 counts as 1
	Owned    []Task // what it runs now, and has not been told to give up, or has not yet given up
	// Generation is the group's generation in which it was given what it owns. Of two that claim a task the later one
	// has it; of equal ones, neither.
	Generation int32
	Previous   []Task // what it ran before: state that may still be on its disk
}

// Result is what each instance is to run.
type Result struct {
	// Active has one entry for each instance: what it may run now, sorted.
	Active map[string][]Task
	// Moving are tasks that their owner must give up first. While there are any, the members rejoin.
	Moving []Task
}

// Assign distributes tasks over instances. Neither argument is changed; their order does not matter.
func Assign(instances []Instance, tasks []Task) Result { return Result{} }
