package cluster

import (
	"flag"
	"strings"
)

// Flags are the two flags that choose the log.
type Flags struct {
	Dir     string // data directory; "" means a fresh temporary one, removed by Close
	Brokers string // host:port,… of a log to use instead of the embedded broker
}

// Register adds the flags to fs.
func (f *Flags) Register(fs *flag.FlagSet) {
	fs.StringVar(&f.Dir, "dir", "", "data `directory`, kept and continued (default: a temporary one, removed at the end)")
	fs.StringVar(&f.Brokers, "brokers", "", "use the log at `host:port,...` instead of the embedded broker; -dir then holds the state alone")
}

// seeds returns the addresses of -brokers, none for the embedded broker.
func (f *Flags) seeds() []string {
	var seeds []string
	for _, s := range strings.Split(f.Brokers, ",") {
		if s = strings.TrimSpace(s); s != "" {
			seeds = append(seeds, s)
		}
	}
	return seeds
}
