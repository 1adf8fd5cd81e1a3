package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// cluster is a Kafka on this machine that may be hurt: one that .ci/kafka/kafka has started in a directory.
type cluster struct {
	tool, dir string
	nodes     int
	down      int // the node that was killed and is not back, 0: none
	back      chan error
}

// openCluster finds the cluster and its addresses.
func openCluster(tool, dir string) (*cluster, []string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "bootstrap"))
	if err != nil {
		return nil, nil, fmt.Errorf("no Kafka in %s: %w", dir, err)
	}
	addresses := strings.Split(strings.TrimSpace(string(text)), ",")
	return &cluster{tool: tool, dir: dir, nodes: len(addresses)}, addresses, nil
}

// pid returns the process of a node.
func (c *cluster) pid(node int) (int, error) {
	text, err := os.ReadFile(filepath.Join(c.dir, fmt.Sprintf("node-%d", node), "pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// start starts the node that is down again, and returns at once: that takes some seconds.
func (c *cluster) start() error {
	start := exec.Command(c.tool, "start", c.dir, strconv.Itoa(c.down))
	start.Stderr = os.Stderr
	if err := start.Start(); err != nil {
		return fmt.Errorf("start node %d: %w", c.down, err)
	}
	c.back = make(chan error, 1)
	go func() { c.back <- start.Wait() }() // ends with the command; settle or await hears of it
	return nil
}

// whole reports whether all nodes run.
func (c *cluster) whole() (bool, error) {
	if c.down == 0 {
		return true, nil
	}
	select {
	case err := <-c.back: // nil, and so never ready, until it is started
		if err != nil {
			return false, fmt.Errorf("node %d does not come back: %w", c.down, err)
		}
		c.down, c.back = 0, nil
		return true, nil
	default:
		return false, nil
	}
}
