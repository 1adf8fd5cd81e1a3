package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

// options are the flags of the driver.
type options struct {
	brokers     []string // none: a broker of our own, which can be killed
	dir         string
	kafkaDir    string // of a Kafka that may be hurt
	kafkaTool   string
	seed        uint64
	duration    time.Duration
	segment     time.Duration
	kills       int
	brokerKills int
	pauses      int
	cuts        int
	instances   int
	partitions  int
	workers     int
	standbys    int
	accounts    int
	drivers     int
	rate        int
	session     time.Duration
	transaction time.Duration
	commit      time.Duration
	quiet       bool
}

func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	fs := flag.NewFlagSet("ledger", flag.ContinueOnError)
	fs.SetOutput(stderr)
	brokers := fs.String("brokers", "", "use the log at `host:port,...`; without it, a broker of our own is started, and killed")
	fs.StringVar(&o.kafkaDir, "kafka-dir", "", "use the Kafka that -kafka-tool has started in `directory`, and kill its nodes")
	fs.StringVar(&o.kafkaTool, "kafka-tool", ".ci/kafka/kafka", "`program` that starts a killed node again")
	fs.StringVar(&o.dir, "dir", "", "work in `directory` and keep it (default: a temporary one, kept only after a violation)")
	fs.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "`number` that the input and the schedule of faults are drawn from")
	fs.DurationVar(&o.duration, "duration", 30*time.Second, "how `long` to feed and to hurt")
	fs.DurationVar(&o.segment, "segment", 10*time.Minute, "check everything after this much `time`, and go on with fresh topics")
	fs.IntVar(&o.kills, "kills", 6, "`number` of instances to kill, in each segment")
	fs.IntVar(&o.brokerKills, "broker-kills", 4, "`number` of times to kill the broker, or a node of -kafka-dir, in each segment; not with -brokers")
	fs.IntVar(&o.pauses, "pauses", 2, "`number` of instances to pause beyond the session time-out, in each segment")
	fs.IntVar(&o.cuts, "cuts", 6, "`number` of connections to break with a request on them, in each segment")
	fs.IntVar(&o.instances, "instances", 4, "`number` of instances at most, 1 to 16")
	fs.IntVar(&o.partitions, "partitions", 4, "`number` of partitions, 1 to 64")
	fs.IntVar(&o.workers, "workers", 2, "`number` of workers of each application in each instance")
	fs.IntVar(&o.standbys, "standbys", 1, "`number` of copies of each state that other instances keep")
	fs.IntVar(&o.accounts, "accounts", 200, "`number` of accounts")
	fs.IntVar(&o.drivers, "drivers", 4, "`number` of senders; every second one sends in transactions")
	fs.IntVar(&o.rate, "rate", 200, "transfers to send in a `second`")
	fs.DurationVar(&o.session, "session", 1500*time.Millisecond, "session `time-out` of the instances; a Kafka must allow it (group.min.session.timeout.ms)")
	fs.DurationVar(&o.transaction, "transaction", 4*time.Second, "transaction `time-out` of the instances; longer than -session, a zombie may end its transaction in between")
	fs.DurationVar(&o.commit, "commit", 50*time.Millisecond, "commit `interval` of the instances")
	fs.BoolVar(&o.quiet, "quiet", false, "say nothing but the report")
	fs.Usage = func() {
		_, _ = fmt.Fprint(stderr, "usage: ledger [flags]\n\nKills and pauses instances and broker under load, and checks that every record took effect exactly once.\n"+
			"The report is one line of JSON; the exit status is 1 after a violation.\n\n")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	for _, b := range strings.Split(*brokers, ",") {
		if b = strings.TrimSpace(b); b != "" {
			o.brokers = append(o.brokers, b)
		}
	}
	if len(o.brokers) > 0 && o.kafkaDir == "" {
		o.brokerKills = 0
	}
	if len(fs.Args()) > 0 {
		return o, fmt.Errorf("%q is not a flag: see -help", fs.Arg(0))
	}
	return o, o.validate()
}

func (o *options) validate() error {
	var errs []error
	for _, b := range []struct {
		flag           string
		n, least, most int
	}{
		{"kills", o.kills, 0, 1e6}, {"broker-kills", o.brokerKills, 0, 1e6}, {"pauses", o.pauses, 0, 1e6},
		{"cuts", o.cuts, 0, 1e6},
		{"instances", o.instances, 1, 16}, {"partitions", o.partitions, 1, 64}, {"workers", o.workers, 1, 16}, {"standbys", o.standbys, 0, 15},
		{"accounts", o.accounts, 2, 10_000}, {"drivers", o.drivers, 1, 64}, {"rate", o.rate, o.drivers, 20_000},
	} {
		if b.n < b.least || b.n > b.most {
			errs = append(errs, fmt.Errorf("-%s %d: want %d to %d", b.flag, b.n, b.least, b.most))
		}
	}
	if o.duration < 3*time.Second || o.segment < 3*time.Second {
		errs = append(errs, errors.New("-duration and -segment: want 3s at least"))
	}
	return errors.Join(errs...)
}
