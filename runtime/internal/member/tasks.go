package member

import (
	"slices"

	"github.com/millrace-io/millrace/runtime/internal/assign"
)

// Sets of tasks, as sorted slices. None of these changes its arguments.

func sorted(tasks []assign.Task) []assign.Task {
	return slices.Compact(slices.SortedFunc(slices.Values(tasks), assign.Compare))
}

func union(a, b []assign.Task) []assign.Task { return sorted(slices.Concat(a, b)) }

func minus(a, b []assign.Task) []assign.Task {
	return filter(a, func(t assign.Task) bool { return !contains(b, t) })
}

func intersect(a, b []assign.Task) []assign.Task {
	return filter(a, func(t assign.Task) bool { return contains(b, t) })
}

func filter(a []assign.Task, keep func(assign.Task) bool) []assign.Task {
	var out []assign.Task
	for _, t := range a {
		if keep(t) {
			out = append(out, t)
		}
	}
	return out
}

func contains(a []assign.Task, t assign.Task) bool {
	_, ok := slices.BinarySearchFunc(a, t, assign.Compare)
	return ok
}
