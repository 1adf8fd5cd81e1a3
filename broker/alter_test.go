package broker_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// alterConfigs changes the configs of one topic and returns the error.
func alterConfigs(t *testing.T, cl *kgo.Client, name string, validate bool, changes ...kmsg.IncrementalAlterConfigsRequestResourceConfig) error {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = validate
	req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name, Configs: changes}}
	r := raw[*kmsg.IncrementalAlterConfigsResponse](t, cl, req).Resources[0]
	err := kerr.ErrorForCode(r.ErrorCode)
	if (err != nil) != (r.ErrorMessage != nil) || r.ResourceName != name {
		t.Errorf("answer %+v", r)
	}
	return err
}

func change(name string, op kmsg.IncrementalAlterConfigOp, value string) kmsg.IncrementalAlterConfigsRequestResourceConfig {
	return kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: name, Op: op, Value: &value}
}

// configOf returns what is described of one config.
func configOf(t *testing.T, cl *kgo.Client, topic, name string) kadm.Config {
	t.Helper()
	rs, err := kadm.NewClient(cl).DescribeTopicConfigs(testContext(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(rs[0].Configs, func(c kadm.Config) bool { return c.Key == name })
	if i < 0 {
		t.Fatalf("%s is not described", name)
	}
	return rs[0].Configs[i]
}

const (
	opSet      = kmsg.IncrementalAlterConfigOpSet
	opDelete   = kmsg.IncrementalAlterConfigOpDelete
	opAppend   = kmsg.IncrementalAlterConfigOpAppend
	opSubtract = kmsg.IncrementalAlterConfigOpSubtract
)

// TestIncrementalAlterConfigs: the sequence and its outcomes were seen on Kafka 4.4.
func TestIncrementalAlterConfigs(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b)
	createTopic(t, cl, "t", 1)
	const policy, retention = "cleanup.policy", "retention.ms"
	for i, c := range []struct {
		change kmsg.IncrementalAlterConfigsRequestResourceConfig
		err    error
		want   string // of the policy
	}{
		{change(policy, opAppend, "compact"), nil, "delete,compact"},
		{change(policy, opSet, "compact"), nil, "compact"},
		{change(policy, opAppend, "delete"), nil, "compact,delete"},
		{change(policy, opAppend, "compact"), nil, "compact,delete"},
		{change(policy, opSubtract, "compact"), nil, "delete"},
		{change(policy, opSubtract, "compact"), nil, "delete"},
		{change(policy, opSubtract, "delete"), nil, ""},
		{change(policy, opDelete, ""), nil, "delete"},
		{change(policy, opAppend, "compact, delete"), nil, "delete,compact"},
		{change(policy, opAppend, "keep"), kerr.InvalidConfig, "delete,compact"},
		{change(policy, opSet, "keep"), kerr.InvalidConfig, "delete,compact"},
		{kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: policy, Op: opAppend}, kerr.InvalidRequest, "delete,compact"},
		{kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: retention, Op: opSet}, kerr.InvalidRequest, "delete,compact"},
		{change(retention, opAppend, "5"), kerr.InvalidConfig, "delete,compact"},
		{change("no.such.config", opSet, "5"), kerr.InvalidConfig, "delete,compact"},
		{change("no.such.config", opDelete, ""), nil, "delete,compact"},
		{change(retention, 9, "5"), kerr.InvalidRequest, "delete,compact"},
		{change(retention, opSet, "-1"), nil, "delete,compact"},
	} {
		before := configOf(t, cl, "t", policy)
		if err := alterConfigs(t, cl, "t", true, c.change); !errors.Is(err, c.err) {
			t.Errorf("%d, validated: %v, want %v", i, err, c.err)
		}
		if after := configOf(t, cl, "t", policy); *after.Value != *before.Value {
			t.Errorf("%d: validating had an effect", i)
		}
		if err := alterConfigs(t, cl, "t", false, c.change); !errors.Is(err, c.err) {
			t.Errorf("%d: %v, want %v", i, err, c.err)
		}
		if got := configOf(t, cl, "t", policy); *got.Value != c.want {
			t.Errorf("%d: policy %q, want %q", i, *got.Value, c.want)
		}
	}
	if c := configOf(t, cl, "t", retention); *c.Value != "-1" || c.Source != kmsg.ConfigSourceDynamicTopicConfig || len(c.Synonyms) != 1 {
		t.Errorf("retention.ms: %+v", c)
	}
}

// TestAlterConfigsRefused: nothing of a resource's changes happens if one is refused, nor of what cannot be changed.
func TestAlterConfigsRefused(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b)
	createTopic(t, cl, "t", 1)
	good := change("retention.ms", opSet, "7")
	for name, c := range map[string]struct {
		kind    kmsg.ConfigResourceType
		name    string
		changes []kmsg.IncrementalAlterConfigsRequestResourceConfig
		want    error
	}{
		"twice":          {kmsg.ConfigResourceTypeTopic, "t", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good, change("retention.ms", opSet, "8")}, kerr.InvalidRequest},
		"one of two":     {kmsg.ConfigResourceTypeTopic, "t", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good, change("cleanup.policy", opSet, "x")}, kerr.InvalidConfig},
		"no such topic":  {kmsg.ConfigResourceTypeTopic, "u", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good}, kerr.UnknownTopicOrPartition},
		"of the broker":  {kmsg.ConfigResourceTypeBroker, "1", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good}, kerr.InvalidRequest},
		"another broker": {kmsg.ConfigResourceTypeBroker, "2", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good}, kerr.InvalidRequest},
		"of a group":     {kmsg.ConfigResourceType(32), "g", []kmsg.IncrementalAlterConfigsRequestResourceConfig{good}, kerr.InvalidRequest},
	} {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: c.kind, ResourceName: c.name, Configs: c.changes}}
		r := ask[*kmsg.IncrementalAlterConfigsResponse](t, dialRaw(t, b), 1, req).Resources[0]
		if err := kerr.ErrorForCode(r.ErrorCode); !errors.Is(err, c.want) || r.ErrorMessage == nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	one := kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t", Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{good}}
	req.Resources = append(req.Resources, one, one)
	for _, r := range raw[*kmsg.IncrementalAlterConfigsResponse](t, cl, req).Resources {
		if r.ErrorCode != kerr.InvalidRequest.Code {
			t.Errorf("a resource named twice: %+v", r)
		}
	}
	if c := configOf(t, cl, "t", "retention.ms"); c.Source != kmsg.ConfigSourceDefaultConfig {
		t.Errorf("retention.ms: %+v", c)
	}
}

// TestAlteredConfigsCount: a changed config decides on the next batch, and is there after a restart.
func TestAlteredConfigsCount(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b, kgo.ProducerBatchCompression(kgo.NoCompression()))
	createTopic(t, cl, "t", 1)
	ctx := testContext(t)
	keyless := &kgo.Record{Topic: "t", Value: make([]byte, 2000)}
	if err := cl.ProduceSync(ctx, keyless).FirstErr(); err != nil {
		t.Fatal(err)
	}
	set := func(name, value string) {
		t.Helper()
		if err := alterConfigs(t, cl, "t", false, change(name, opSet, value)); err != nil {
			t.Fatal(err)
		}
	}
	set("max.message.bytes", "1000")
	if err := cl.ProduceSync(ctx, keyless).FirstErr(); !errors.Is(err, kerr.MessageTooLarge) {
		t.Errorf("a large batch: %v", err)
	}
	set("max.message.bytes", "100000")
	set("cleanup.policy", "compact")
	cl = client(t, b.Restart(t))
	if err := cl.ProduceSync(ctx, keyless).FirstErr(); !errors.Is(err, kerr.InvalidRecord) {
		t.Errorf("a record without key, after a restart: %v", err)
	}
	keyed := &kgo.Record{Topic: "t", Key: []byte("k"), Value: make([]byte, 2000)}
	if err := cl.ProduceSync(ctx, keyed).FirstErr(); err != nil {
		t.Error(err)
	}
}

func TestDeleteRecords(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b)
	createTopic(t, cl, "t", 1)
	ctx := testContext(t)
	if err := cl.ProduceSync(ctx, numbered("t", 0, 10)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	deleteBefore := func(topic string, partition int32, offset int64) (int64, error) {
		t.Helper()
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: partition, Offset: offset}}}}
		c := dialRaw(t, b)
		r := ask[*kmsg.DeleteRecordsResponse](t, c, 2, req).Topics[0].Partitions[0]
		return r.LowWatermark, kerr.ErrorForCode(r.ErrorCode)
	}
	for _, c := range []struct {
		topic     string
		partition int32
		offset    int64
		low       int64
		err       error
	}{
		{"t", 0, 4, 4, nil},
		{"t", 0, 3, 4, nil},
		{"t", 0, 11, -1, kerr.OffsetOutOfRange},
		{"t", 0, -2, -1, kerr.OffsetOutOfRange},
		{"t", 1, 0, -1, kerr.UnknownTopicOrPartition},
		{"u", 0, 0, -1, kerr.UnknownTopicOrPartition},
	} {
		if low, err := deleteBefore(c.topic, c.partition, c.offset); low != c.low || !errors.Is(err, c.err) {
			t.Errorf("%s-%d before %d: %d, %v, want %d, %v", c.topic, c.partition, c.offset, low, err, c.low, c.err)
		}
	}
	b = b.Restart(t)
	cl = client(t, b)
	adm := kadm.NewClient(cl)
	if o, err := adm.ListStartOffsets(ctx, "t"); err != nil || o["t"][0].Offset != 4 {
		t.Errorf("start %v, %v", o, err)
	}
	f := ask[*kmsg.FetchResponse](t, dialRaw(t, b), 12, fetchRequest("t", 3, 0)).Topics[0].Partitions[0]
	if f.ErrorCode != kerr.OffsetOutOfRange.Code || f.LogStartOffset != -1 {
		t.Errorf("fetch below the start: error %d, start %d", f.ErrorCode, f.LogStartOffset)
	}
	if low, err := deleteBefore("t", 0, -1); low != 10 || err != nil {
		t.Errorf("all: %d, %v", low, err)
	}
	if err := alterConfigs(t, cl, "t", false, change("cleanup.policy", opSet, "compact")); err != nil {
		t.Fatal(err)
	}
	if _, err := deleteBefore("t", 0, -1); !errors.Is(err, kerr.PolicyViolation) {
		t.Errorf("of a compacted topic: %v", err)
	}
}

func TestCreatePartitions(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b)
	createTopic(t, cl, "t", 1)
	ctx := testContext(t)
	create := func(topic string, count int32, validate bool, assignment ...[]int32) error {
		t.Helper()
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.ValidateOnly = validate
		rt := kmsg.CreatePartitionsRequestTopic{Topic: topic, Count: count}
		for _, replicas := range assignment {
			rt.Assignment = append(rt.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: replicas})
		}
		req.Topics = append(req.Topics, rt)
		return kerr.ErrorForCode(raw[*kmsg.CreatePartitionsResponse](t, cl, req).Topics[0].ErrorCode)
	}
	for i, c := range []struct {
		topic      string
		count      int32
		assignment [][]int32
		want       error
	}{
		{"t", 1, nil, kerr.InvalidPartitions},
		{"t", 0, nil, kerr.InvalidPartitions},
		{"t", -1, nil, kerr.InvalidPartitions},
		{"t", 10_001, nil, kerr.InvalidPartitions},
		{"u", 3, nil, kerr.UnknownTopicOrPartition},
		{"t", 2, [][]int32{{7}}, kerr.InvalidReplicaAssignment},
		{"t", 3, [][]int32{{1}}, kerr.InvalidReplicaAssignment},
		{"t", 2, [][]int32{{1, 1}}, kerr.InvalidReplicaAssignment},
		{"t", 2, [][]int32{{}}, kerr.InvalidReplicaAssignment},
	} {
		for _, validate := range []bool{true, false} {
			if err := create(c.topic, c.count, validate, c.assignment...); !errors.Is(err, c.want) {
				t.Errorf("%d: %v, want %v", i, err, c.want)
			}
		}
	}
	if err := cl.ProduceSync(ctx, numbered("t", 0, 3)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := create("t", 9, true); err != nil {
		t.Error(err)
	}
	if err := create("t", 3, false, []int32{1}, []int32{1}); err != nil {
		t.Error(err)
	}
	if err := create("t", 4, false); err != nil {
		t.Error(err)
	}
	check := func(when string) {
		t.Helper()
		ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, "t")
		if err != nil {
			t.Fatal(err)
		}
		if ps := slices.Sorted(maps.Keys(ends["t"])); !slices.Equal(ps, []int32{0, 1, 2, 3}) || ends["t"][0].Offset != 3 || ends["t"][3].Offset != 0 {
			t.Errorf("%s: %v", when, ends)
		}
	}
	check("at once")
	b = b.Restart(t)
	cl = client(t, b)
	check("after a restart")
	manual := client(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := manual.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: 3, Value: []byte("x")}).FirstErr(); err != nil {
		t.Error(err)
	}
}

// TestAlterConfigs: the old request replaces all configs of a topic, and validates without changing any.
func TestAlterConfigs(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b)
	createTopicWith(t, cl, "t", 1)
	alter := func(validate bool, configs ...kmsg.AlterConfigsRequestResourceConfig) error {
		t.Helper()
		req := kmsg.NewPtrAlterConfigsRequest()
		req.ValidateOnly = validate
		req.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t", Configs: configs}}
		r := raw[*kmsg.AlterConfigsResponse](t, cl, req).Resources[0]
		err := kerr.ErrorForCode(r.ErrorCode)
		if (err != nil) != (r.ErrorMessage != nil) || r.ResourceName != "t" {
			t.Errorf("answer %+v", r)
		}
		return err
	}
	config := func(name, value string) kmsg.AlterConfigsRequestResourceConfig {
		return kmsg.AlterConfigsRequestResourceConfig{Name: name, Value: &value}
	}
	if err := alter(false, config("retention.ms", "7"), config("max.message.bytes", "100")); err != nil {
		t.Fatal(err)
	}
	if err := alter(true, config("retention.ms", "8")); err != nil {
		t.Error(err)
	}
	for want, configs := range map[error][]kmsg.AlterConfigsRequestResourceConfig{
		kerr.InvalidConfig:  {config("retention.ms", "-2")},
		kerr.InvalidRequest: {{Name: "retention.ms"}},
	} {
		if err := alter(false, configs...); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if c := configOf(t, cl, "t", "retention.ms"); *c.Value != "7" {
		t.Errorf("retention.ms %s", *c.Value)
	}
	if err := alter(false, config("retention.ms", "9")); err != nil {
		t.Fatal(err)
	}
	if c := configOf(t, cl, "t", "max.message.bytes"); c.Source != kmsg.ConfigSourceDefaultConfig {
		t.Errorf("max.message.bytes was not named and is still %+v", c)
	}
}

// TestRetention: records that are too old go when the broker looks, and files with them.
func TestRetention(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Config(func(c *broker.Config) { c.RetentionInterval = time.Millisecond }))
	cl, ctx := client(t, b), testContext(t)
	createTopicWith(t, cl, "t", 1)
	old := kgo.SliceRecord(make([]byte, 300<<10)) // enough to be in a segment
	old.Topic, old.Timestamp = "t", time.Now().Add(-8*24*time.Hour)
	if err := cl.ProduceSync(ctx, old).FirstErr(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log start moves", func() bool {
		starts, err := kadm.NewClient(cl).ListStartOffsets(ctx, "t")
		o, _ := starts.Lookup("t", 0)
		return err == nil && o.Offset == 1
	})
	eventually(t, "the file goes", func() bool {
		left, err := filepath.Glob(filepath.Join(b.Config.Dir, "topics", "*", "*.log"))
		return err == nil && len(left) == 0
	})
}

// TestCompaction: a topic that is compacted gives its space back, and a reader from the start finds the last value of each key.
func TestCompaction(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Config(func(c *broker.Config) { c.CompactionInterval = time.Millisecond }))
	cl, ctx := client(t, b), testContext(t)
	if r, err := kadm.NewClient(cl).CreateTopic(ctx, 1, -1, map[string]*string{
		"cleanup.policy": kmsg.StringPtr("compact"), "segment.bytes": kmsg.StringPtr("1048576"), "min.cleanable.dirty.ratio": kmsg.StringPtr("0"),
	}, "t"); err != nil || r.Err != nil {
		t.Fatal(err, r.Err)
	}
	const records, keys = 20, 3
	for i := range records {
		r := &kgo.Record{Topic: "t", Key: fmt.Append(nil, i%keys), Value: bytes.Repeat([]byte{byte(i)}, 400<<10)}
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the files shrink", func() bool {
		left, err := filepath.Glob(filepath.Join(b.Config.Dir, "topics", "*", "*.log"))
		return err == nil && len(left) > 0 && len(left) <= 4
	})
	last := map[string]byte{}
	reader := client(t, b.Restart(t), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for n, at := 0, int64(0); at < records-1; n++ {
		fs := reader.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			t.Fatal(err)
		}
		fs.EachRecord(func(r *kgo.Record) { last[string(r.Key)], at = r.Value[0], r.Offset })
	}
	for i := range keys {
		if got := last[fmt.Sprint((records-1-i)%keys)]; got != byte(records-1-i) {
			t.Errorf("key %d: value %d", (records-1-i)%keys, got)
		}
	}
}
