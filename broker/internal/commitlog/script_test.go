package commitlog

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/batch"
	"github.com/millrace-io/millrace/broker/internal/scripttest"
)

// TestScripts plays the scripts. "> new" begins a case with an empty log of one partition.
func TestScripts(t *testing.T) {
	scripttest.Run(t, func(t *testing.T) func(string) string {
		s := &script{t: t}
		t.Cleanup(s.close)
		return func(command string) string { return s.command(strings.Fields(command)) }
	})
}

type script struct {
	t     *testing.T
	clock *clock
	fs    *vfs.MemFS
	log   *Log
	topic Topic
}

func (s *script) close() {
	if s.log == nil {
		return
	}
	if err := s.log.Close(); err != nil {
		s.t.Error(err)
	}
	s.log = nil
}

func (s *script) open() {
	cfg := testConfig(s.fs)
	cfg.Now = s.clock.Now
	cfg.TailBytes, cfg.CheckpointBytes = 16<<20, 16<<20 // nothing is written or checkpointed but by a command
	l, err := Open(ctx, cfg, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.log = l
}

func (s *script) partition() *Partition { return s.log.Partition(s.topic.ID, 0) }

// command runs one command and returns what it prints.
func (s *script) command(words []string) string {
	args := map[string]string{}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		args[k] = v
	}
	switch words[0] {
	case "new":
		s.close()
		s.fs, s.clock = vfs.NewCrashableMem(), newClock()
		s.open()
		configs := map[string]string{}
		for k, v := range args {
			configs[k] = v
		}
		s.topic = create(s.t, s.log, "t", 1, configs)
		return ""
	case "append":
		return s.append(args)
	case "begin":
		id, epoch := s.producer(args)
		return s.commit(Update{Begin: []Begin{{TopicPartition{s.topic.ID, 0}, id, epoch}}})
	case "commit", "abort":
		id, epoch := s.producer(args)
		return s.commit(Update{Markers: []Marker{{TopicPartition: TopicPartition{s.topic.ID, 0}, ProducerID: id, ProducerEpoch: epoch,
			Commit: words[0] == "commit"}}})
	case "offsets":
		o := s.partition().Offsets()
		return fmt.Sprintf("start %d, stable %d, high watermark %d, end %d\n", o.LogStart, o.LastStable, o.HighWatermark, o.End)
	case "read":
		return s.read(args)
	case "restart":
		s.close()
		s.open()
		return ""
	case "crash":
		fs := s.fs.CrashClone(vfs.CrashCloneCfg{})
		s.close()
		s.fs = fs
		s.open()
		return ""
	case "wait":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			s.t.Fatal(err)
		}
		s.clock.Add(d)
		return ""
	case "housekeeping":
		if err := s.log.keepHouse(); err != nil {
			return err.Error() + "\n"
		}
		wait(s.t, s.log, s.log.Enqueued()) // nobody else does
		return ""
	case "compact":
		if err := s.log.flushPartition(s.partition(), 1); err != nil { // nothing is read from memory
			return err.Error() + "\n"
		}
		for s.log.compactDirtiest() {
		}
		return s.segments()
	case "verify":
		if err := s.log.Verify(ctx); err != nil {
			return err.Error() + "\n"
		}
		return ""
	case "time":
		find := func() (TimestampOffset, error) {
			return s.partition().OffsetForTimestamp(s.clock.Now().UnixMilli()-s.int(args, "ago", 0), ReadUncommitted)
		}
		if _, ok := args["highest"]; ok {
			find = func() (TimestampOffset, error) { return s.partition().OffsetForMaxTimestamp(ReadUncommitted) }
		}
		f, err := find()
		if err != nil {
			return err.Error() + "\n"
		}
		return fmt.Sprintf("offset %d\n", f.Offset)
	case "segments":
		return s.segments()
	case "checkpoint":
		if err := s.log.checkpoint(false); err != nil {
			return err.Error() + "\n"
		}
		return ""
	case "producers":
		return s.producers()
	case "delete":
		start, lsn, err := s.partition().DeleteRecords(s.int(args, "before", -1))
		if err != nil {
			return err.Error() + "\n"
		}
		wait(s.t, s.log, lsn)
		return fmt.Sprintf("start %d\n", start)
	case "configure":
		lsn, err := s.log.ConfigureTopic(s.topic.ID, func(map[string]string) (map[string]string, error) { return args, nil })
		if err != nil {
			return err.Error() + "\n"
		}
		wait(s.t, s.log, lsn)
		return ""
	case "grow":
		lsn, err := s.log.GrowTopic(s.topic.ID, int32(s.int(args, "to", 0)))
		if err != nil {
			return err.Error() + "\n"
		}
		wait(s.t, s.log, lsn)
		return ""
	case "topic":
		t, _ := s.log.TopicByID(s.topic.ID)
		return fmt.Sprintf("%d partitions, configs %v\n", t.Partitions, t.Configs)
	}
	s.t.Fatalf("unknown command %q", words[0])
	return ""
}

func (s *script) int(args map[string]string, name string, otherwise int64) int64 {
	if args[name] == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(args[name], 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *script) producer(args map[string]string) (id int64, epoch int16) {
	return s.int(args, "id", -1), int16(s.int(args, "epoch", 0))
}

func (s *script) append(args map[string]string) string {
	id, epoch := s.producer(args)
	_, txn := args["txn"]
	_, begin := args["begin"]
	b := producerBatch{id: id, epoch: epoch, sequence: int32(s.int(args, "seq", -1)), txn: txn || begin,
		records: records(int(s.int(args, "n", 1)), int(s.int(args, "size", 10)))}
	switch age := args["age"]; age {
	case "":
	case "none":
		for i := range b.records {
			b.records[i].Timestamp = batch.NoTimestamp
		}
	default:
		d, err := time.ParseDuration(age)
		if err != nil {
			s.t.Fatal(err)
		}
		for i := range b.records {
			b.records[i].Timestamp = s.clock.Now().Add(-d).UnixMilli()
		}
	}
	switch key := args["key"]; key {
	case "":
	case "null":
		b.records[len(b.records)-1].Key = nil
	default:
		for i := range b.records {
			b.records[i].Key = []byte(key)
		}
	}
	if _, tombstone := args["tombstone"]; tombstone {
		b.records[0].Value = nil
	}
	if id < 0 {
		b.epoch = -1
	}
	res, err := s.partition().Append(b.raw(), AppendOptions{Begin: begin})
	if err != nil {
		return err.Error() + "\n"
	}
	wait(s.t, s.log, res.LSN)
	at := "at"
	if res.Duplicate {
		at = "duplicate of"
	}
	if res.LogAppendTime >= 0 {
		return fmt.Sprintf("%s %d, time %d\n", at, res.BaseOffset, res.LogAppendTime)
	}
	return fmt.Sprintf("%s %d\n", at, res.BaseOffset)
}

func (s *script) commit(u Update) string {
	lsn, offsets, err := s.log.Commit(u)
	if err != nil {
		return err.Error() + "\n"
	}
	wait(s.t, s.log, lsn)
	if len(offsets) == 0 {
		return ""
	}
	return fmt.Sprintf("marker at %d\n", offsets[0])
}

func (s *script) read(args map[string]string) string {
	iso := ReadUncommitted
	if _, ok := args["committed"]; ok {
		iso = ReadCommitted
	}
	r, err := s.partition().Read(s.int(args, "from", 0), ReadOptions{MaxBytes: int(s.int(args, "max", 1<<20)), MinOneBatch: true, Isolation: iso})
	var out strings.Builder
	if err != nil {
		fmt.Fprintln(&out, err)
	}
	for _, b := range r.Batches {
		for ; len(b) > 0; b = b[batchSize(b):] {
			h := mustHeader(s.t, b)
			kind := ""
			if h.Attributes.Control() {
				kind = " marker"
			} else if h.Attributes.Transactional() {
				kind = " transactional"
			}
			if h.Count == 0 {
				kind += " empty"
			}
			fmt.Fprintf(&out, "%d-%d producer %d%s\n", h.BaseOffset, h.LastOffset(), h.ProducerID, kind)
		}
	}
	for _, a := range r.Aborted {
		fmt.Fprintf(&out, "aborted: producer %d from %d\n", a.ProducerID, a.FirstOffset)
	}
	if out.Len() == 0 {
		return "nothing\n"
	}
	return out.String()
}

// segments flushes all that is durable, and says what is in which file.
func (s *script) segments() string {
	p := s.partition()
	if err := s.log.flushPartition(p, 0); err != nil {
		return err.Error() + "\n"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var out strings.Builder
	for _, x := range p.mu.segments {
		fmt.Fprintf(&out, "%d-%d", x.base, x.next-1)
		if x.generation > 0 {
			fmt.Fprintf(&out, " compacted %d times", x.generation)
		}
		if !x.sealed {
			out.WriteString(" open")
		}
		out.WriteString("\n")
	}
	if out.Len() == 0 {
		return "none\n"
	}
	return out.String()
}

func (s *script) producers() string {
	p := s.partition()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.mu.producers) == 0 {
		return "none\n"
	}
	var out strings.Builder
	for id := int64(0); id < 100; id++ {
		if x := p.mu.producers[id]; x != nil {
			fmt.Fprintf(&out, "%d: epoch %d, %d batches, open %v\n", id, x.epoch, x.n, x.open)
		}
	}
	return out.String()
}
