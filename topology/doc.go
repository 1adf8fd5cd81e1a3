// Package topology is the description of what to run: nodes joined by typed edges, the stores they use and the topics that
// they read and write.
package topology
