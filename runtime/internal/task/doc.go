// Package task is the deterministic core that runs one sub-topology over one partition.
package task
