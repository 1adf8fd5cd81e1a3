package runtime_test

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/topology"
)

// reserve is an Assignor that keeps instances with the tag reserve=yes free of tasks, as long as there are others. They keep copies.
type reserve struct{}

func (reserve) Assign(s runtime.ApplicationState) (runtime.TaskAssignment, error) {
	working := s
	working.Instances = slices.DeleteFunc(slices.Clone(s.Instances), func(in runtime.InstanceState) bool { return in.Tags["reserve"] == "yes" })
	if len(working.Instances) == 0 {
		return s.HighAvailability(), nil
	}
	answer := working.HighAvailability()
	for _, in := range s.Instances {
		if in.Tags["reserve"] != "yes" {
			continue
		}
		var copies runtime.InstanceTasks
		for _, t := range s.Tasks {
			if t.Stateful {
				copies.Standby = append(copies.Standby, t.ID)
			}
		}
		answer.Instances[in.ID] = copies
	}
	return answer, nil
}

// An Assignor of one's own can be tried without a log.
func ExampleAssignor() {
	answer, err := reserve{}.Assign(runtime.ApplicationState{
		Tasks: []runtime.TaskInfo{{ID: topology.TaskID{Partition: 0}, Stateful: true}, {ID: topology.TaskID{Partition: 1}}},
		Instances: []runtime.InstanceState{
			{ID: "a", Capacity: 2},
			{ID: "b", Capacity: 2, Tags: map[string]string{"reserve": "yes"}},
		},
	})
	fmt.Println(answer.Instances["a"], answer.Instances["b"], err)
	// Output: {[0_0 0_1] []} {[] [0_0]} <nil>
}
