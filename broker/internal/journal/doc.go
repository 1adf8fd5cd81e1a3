// Package journal is the broker's write-ahead log: one sequence of entries, made durable in groups.
package journal
