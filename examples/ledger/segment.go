package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// segment is one round: fresh topics, feeder, instances, faults, rest, check.
type segment struct {
	*driverRun
	*options
	names   names
	dir     string
	verdict *verdict // of what is seen while it runs

	client   *kgo.Client
	adm      *kadm.Client
	observer *observer
	feeder   *process
	slots    []*slot
	agenda   []due
	// brokerAway is true from a kill of the broker until it is started again.
	brokerAway bool
	start      time.Time
}

// due is something to be done later.
type due struct {
	at time.Time
	do func() error
}

// run makes the round and returns its history.
func (s *segment) run(ctx context.Context) (h *history, err error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	if s.client, err = kgo.NewClient(kgo.SeedBrokers(s.addresses...), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond })); err != nil {
		return nil, err
	}
	s.adm = kadm.NewClient(s.client)
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.prepare(ctx); err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	if err := s.hurt(ctx); err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Minute) // an interrupt ends the faults, not the check
	defer cancel()
	return s.settle(settle)
}

// close ends everything that the segment started.
func (s *segment) close() error {
	if s.observer != nil {
		s.observer.close()
	}
	if s.feeder != nil && !s.feeder.gone() {
		s.feeder.kill()
	}
	for _, sl := range s.slots {
		if sl.proc != nil && !sl.proc.gone() {
			sl.proc.kill()
		}
	}
	s.client.Close()
	return nil
}

// prepare makes the topics and starts the feeder and the first instances.
func (s *segment) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := s.createTopics(ctx); err != nil {
		return err
	}
	if err := s.writeOwners(ctx); err != nil {
		return err
	}
	partitions := make(map[string]int)
	for _, topic := range s.names.created() {
		partitions[topic] = s.partitions
	}
	var err error
	if s.observer, err = observe(context.WithoutCancel(ctx), s.addresses, partitions); err != nil {
		return err
	}
	s.start = time.Now()
	feeder := role{Feeder: &feederRole{
		Names: s.names, Brokers: s.addresses, Journal: s.journalPath(), Seed: s.options.seed, Accounts: s.accounts,
		Drivers: s.drivers, Rate: s.rate, Base: s.start.UnixMilli(),
	}}
	if s.feeder, err = feeder.start("feeder", s.dir); err != nil {
		return err
	}
	for i := range s.instances {
		s.slots = append(s.slots, s.newSlot(fmt.Sprintf("instance-%d", i)))
	}
	for _, sl := range s.slots[:max(1, s.instances-1)] { // one may join
		if err := sl.start(nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *segment) journalPath() string { return filepath.Join(s.dir, "journal") }

func (s *segment) createTopics(ctx context.Context) error {
	forEver, compact := "-1", "compact"
	if _, err := s.adm.CreateTopic(ctx, 1, -1, map[string]*string{"cleanup.policy": &compact}, s.names.owners()); err != nil {
		return fmt.Errorf("create %s: %w", s.names.owners(), err)
	}
	keep := map[string]*string{"retention.ms": &forEver, "retention.bytes": &forEver}
	r, err := s.adm.CreateTopics(ctx, int32(s.partitions), -1, keep, s.names.created()...)
	if err == nil {
		err = r.Error()
	}
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	for { // a cluster knows its new topics a moment later
		_, err := highWatermarks(ctx, s.adm, s.names.created())
		if !errors.Is(err, kerr.UnknownTopicOrPartition) && !errors.Is(err, kerr.LeaderNotAvailable) && !errors.Is(err, kerr.NotLeaderForPartition) {
			return err
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func (s *segment) writeOwners(ctx context.Context) error {
	var records []*kgo.Record
	for i := range s.accounts {
		if o := owner(i); o != "" {
			records = append(records, &kgo.Record{Topic: s.names.owners(), Key: []byte(account(i)), Value: []byte(o)})
		}
	}
	return s.client.ProduceSync(ctx, records...).FirstErr()
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// catchUpTimeout bounds the time from the last fault to rest.
const catchUpTimeout = 60 * time.Second

// settle lets everything come to rest and collects the history.
func (s *segment) settle(ctx context.Context) (*history, error) {
	if err := s.heal(); err != nil {
		return nil, err
	}
	if err := s.feeder.stop(); err != nil { // what it has sent is decided only while the broker is there
		return nil, err
	}
	began := time.Now()
	if err := s.awaitRest(ctx, began); err != nil {
		return nil, err
	}
	up := time.Since(began).Seconds()
	s.report.SlowestUp = max(s.report.SlowestUp, up)
	s.say("caught up after %.2fs; stopping", up)
	for _, sl := range s.slots {
		if err := sl.stop(); err != nil {
			s.verdict.add(oracleLive, sl.name, "does not stop in order: %v", err)
		}
	}
	if err := s.wipedInstance(ctx); err != nil {
		return nil, err
	}
	return s.collect(ctx)
}

// awaitRest waits until all input has taken effect, looking after the instances meanwhile.
func (s *segment) awaitRest(ctx context.Context, began time.Time) error {
	for {
		s.look()
		rested, why := s.atRest(ctx)
		if rested {
			return nil
		}
		if time.Since(began) > catchUpTimeout {
			s.verdict.add(oracleLive, "all", "not at rest %v after the last fault: %s", catchUpTimeout, why)
			return nil
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// wipedInstance lets an instance rebuild all stores from the changelogs, in a directory of its own, and stops it again.
func (s *segment) wipedInstance(ctx context.Context) error {
	sl := s.newSlot("restored")
	s.slots = append(s.slots, sl)
	if err := sl.start(nil); err != nil {
		return err
	}
	for began := time.Now(); !readStatus(sl.role.statusPath()).Ready; {
		if time.Since(began) > catchUpTimeout || sl.proc.gone() {
			s.verdict.add(oracleLive, sl.name, "it does not run %v after its start: %s", catchUpTimeout, sl.proc.lastWords())
			break
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return sl.stop()
}

// collect reads everything.
func (s *segment) collect(ctx context.Context) (*history, error) {
	h := &history{names: s.names, accounts: s.accounts}
	topics := s.names.all()
	var err error
	if h.journal, err = readJournal(s.journalPath()); err != nil {
		return nil, err
	}
	if h.high, err = highWatermarks(ctx, s.adm, topics); err != nil {
		return nil, err
	}
	if h.stable, err = lastStableOffsets(ctx, s.adm, topics); err != nil {
		return nil, err
	}
	if h.offsets, err = s.groupOffsets(ctx, h.high); err != nil {
		return nil, err
	}
	if h.log, err = readLog(ctx, s.addresses, s.names.whole()); err != nil {
		return nil, err
	}
	if h.committed, err = readCommitted(ctx, s.addresses, s.names.whole()); err != nil {
		return nil, err
	}
	for began := time.Now(); !s.observer.caughtUp(h.high) && time.Since(began) < 10*time.Second; {
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
	h.observed = s.observer.close()
	s.observer = nil
	for _, topic := range s.names.whole() {
		if _, ok := h.observed[topic]; !ok { // made by the applications: not there at the beginning
			h.observed[topic] = h.committed[topic]
		}
	}
	for _, sl := range s.slots {
		if _, err := os.Stat(sl.role.stateDir()); err != nil {
			continue // never started
		}
		dumps, err := readStores(ctx, sl.name, sl.role.stateDir(), s.names, s.accounts)
		if err != nil {
			s.verdict.add(oracleStore, sl.name, "%v", err)
			continue
		}
		h.stores = append(h.stores, dumps...)
	}
	return h, s.restored(h)
}

// restored wants the instance that was rebuilt to hold every partition to its end: an empty one would agree with everything.
func (s *segment) restored(h *history) error {
	h.see()
	for _, topic := range []string{s.names.balances(), s.names.windows(), s.names.peerCounts(), s.names.received()} {
		for p, records := range h.visible[topic] {
			i := slices.IndexFunc(h.stores, func(d dump) bool {
				return d.Instance == "restored" && d.Changelog == topic && d.Partition == int32(p)
			})
			if n := len(records); n > 0 && (i < 0 || h.stores[i].Next <= records[n-1].Offset) {
				s.verdict.add(oracleStore, fmt.Sprintf("%s-%d", topic, p), "the instance that was rebuilt does not hold it to its end")
			}
		}
	}
	return nil
}

// tidy removes what a segment without violations leaves, so that a run of hours does not fill the disk.
func (s *segment) tidy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.addresses...))
	if err != nil {
		return err
	}
	defer cl.Close()
	r, err := kadm.NewClient(cl).DeleteTopics(ctx, s.names.all()...)
	if err == nil {
		err = r.Error()
	}
	if err != nil {
		return fmt.Errorf("delete the topics: %w", err)
	}
	if s.driverRun.dir != "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// groupOffsets returns where the applications stand on what they read.
func (s *segment) groupOffsets(ctx context.Context, partitions map[string][]int64) (map[string][]int64, error) {
	offsets, err := groupOffsets(ctx, s.adm, s.names.bank(), partitions, s.names.transfers(), s.names.credits())
	if err != nil {
		return nil, err
	}
	more, err := groupOffsets(ctx, s.adm, s.names.views(), partitions, s.names.entries(), s.names.byPeer())
	maps.Copy(offsets, more)
	return offsets, err
}

// atRest reports whether nothing is left to do, or why not. Topics are asked in the order in which records go through
// them, offsets before ends: then what looks drained is, see the flights example.
func (s *segment) atRest(ctx context.Context) (bool, string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, topic := range s.names.all() {
		high, err := highWatermarks(ctx, s.adm, []string{topic})
		if err != nil {
			return false, err.Error()
		}
		offsets, err := s.groupOffsets(ctx, high)
		if err != nil {
			return false, err.Error()
		}
		if high, err = highWatermarks(ctx, s.adm, []string{topic}); err != nil {
			return false, err.Error()
		}
		stable, err := lastStableOffsets(ctx, s.adm, []string{topic})
		if err != nil {
			return false, err.Error()
		}
		for p := range high[topic] {
			if stable[topic][p] < high[topic][p] {
				return false, fmt.Sprintf("%s-%d: last stable offset %d of %d", topic, p, stable[topic][p], high[topic][p])
			}
			if at, read := offsets[topic]; read && high[topic][p] > 0 && at[p] < high[topic][p] {
				return false, fmt.Sprintf("%s-%d: offset %d of %d", topic, p, at[p], high[topic][p])
			}
		}
	}
	return true, ""
}
