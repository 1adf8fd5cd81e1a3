package broker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

func TestCreateTopics(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Config(func(c *broker.Config) { c.DefaultPartitions = 7 }))
	cl := client(t, b)
	adm := kadm.NewClient(cl)
	ctx := testContext(t)
	create := func(name string, partitions int32, rf int16, configs map[string]*string, validate bool) (kadm.CreateTopicResponse, error) {
		t.Helper()
		f := adm.CreateTopics
		if validate {
			f = adm.ValidateCreateTopics
		}
		rs, err := f(ctx, partitions, rf, configs, name)
		if err != nil {
			t.Fatal(err)
		}
		return rs[name], rs[name].Err
	}
	compact := map[string]*string{"cleanup.policy": kmsg.StringPtr("compact"), "retention.ms": kmsg.StringPtr("-1")}
	r, err := create("defaults", -1, -1, compact, false)
	if err != nil || r.NumPartitions != 7 || r.ReplicationFactor != 1 || *r.Configs["cleanup.policy"].Value != "compact" || *r.Configs["max.message.bytes"].Value != "1048588" {
		t.Errorf("%+v, %v", r, err)
	}
	old := kversion.Stable()
	old.SetMaxKeyVersion(19, 3) // clients of that time leave it to the broker, too
	if made, err := kadm.NewClient(client(t, b, kgo.MaxVersions(old))).CreateTopics(ctx, -1, -1, nil, "old"); err != nil || made.Error() != nil {
		t.Errorf("%+v, %v", made, err)
	}
	if topics, err := adm.ListTopics(ctx, "old"); err != nil || len(topics["old"].Partitions) != 7 {
		t.Errorf("%+v, %v", topics, err)
	}
	if r, err := create("only-looking", 3, 3, nil, true); err != nil || r.NumPartitions != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, c := range []struct {
		name       string
		partitions int32
		rf         int16
		configs    map[string]*string
		want       error
	}{
		{"defaults", 1, 1, nil, kerr.TopicAlreadyExists},
		{"", 1, 1, nil, kerr.InvalidTopicException},
		{"..", 1, 1, nil, kerr.InvalidTopicException},
		{"sp ace", 1, 1, nil, kerr.InvalidTopicException},
		{strings.Repeat("x", 250), 1, 1, nil, kerr.InvalidTopicException},
		{"none", 0, 1, nil, kerr.InvalidPartitions},
		{"many", 10_001, 1, nil, kerr.InvalidPartitions},
		{"rf", 1, 0, nil, kerr.InvalidReplicationFactor},
		{"config", 1, 1, map[string]*string{"no.such.config": kmsg.StringPtr("1")}, kerr.InvalidConfig},
		{"config", 1, 1, map[string]*string{"cleanup.policy": kmsg.StringPtr("keep")}, kerr.InvalidConfig},
	} {
		for _, validate := range []bool{true, false} {
			if r, err := create(c.name, c.partitions, c.rf, c.configs, validate); !errors.Is(err, c.want) || r.ErrMessage == "" {
				t.Errorf("%q: %v %q, want %v", c.name, err, r.ErrMessage, c.want)
			}
		}
	}
	if _, err := create("a.b", 1, 1, nil, false); err != nil {
		t.Error(err)
	}
	if _, err := create("a_b", 1, 1, nil, false); !errors.Is(err, kerr.InvalidTopicException) {
		t.Errorf("a collision: %v", err)
	}
	again := kmsg.CreateTopicsRequestTopic{Topic: "again", NumPartitions: 1, ReplicationFactor: 1}
	once := again
	once.Topic = "once"
	twice := raw[*kmsg.CreateTopicsResponse](t, cl, &kmsg.CreateTopicsRequest{Topics: []kmsg.CreateTopicsRequestTopic{again, once, again}})
	if ts := twice.Topics; len(ts) != 2 || ts[0].Topic != "again" || ts[0].ErrorCode != kerr.InvalidRequest.Code || ts[1].ErrorCode != 0 {
		t.Errorf("a topic that is named twice: %+v", ts)
	}
	names, err := adm.ListTopics(ctx)
	if err != nil || !slices.Equal(names.Names(), []string{"a.b", "defaults", "old", "once"}) {
		t.Errorf("topics %v, %v", names.Names(), err)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Listen(), brokertest.AutoCreate(2))
	adm := kadm.NewClient(client(t, b))
	createTopic(t, client(t, b), "t", 3)
	topics, err := adm.ListTopics(testContext(t), "t")
	if err != nil {
		t.Fatal(err)
	}
	id := [16]byte(topics["t"].ID)
	c := dialRaw(t, b)
	ask1 := func(version int16, rt kmsg.MetadataRequestTopic, auto bool) kmsg.MetadataResponseTopic {
		t.Helper()
		req := kmsg.NewPtrMetadataRequest()
		req.AllowAutoTopicCreation = auto
		req.Topics = []kmsg.MetadataRequestTopic{rt}
		return ask[*kmsg.MetadataResponse](t, c, version, req).Topics[0]
	}
	if r := ask1(12, kmsg.MetadataRequestTopic{TopicID: id}, false); r.ErrorCode != 0 || *r.Topic != "t" || len(r.Partitions) != 3 {
		t.Errorf("by id: %+v", r)
	}
	if r := ask1(12, kmsg.MetadataRequestTopic{TopicID: [16]byte{1}}, true); r.ErrorCode != kerr.UnknownTopicID.Code || r.TopicID != [16]byte{1} {
		t.Errorf("unknown id: %+v", r)
	}
	if r := ask1(9, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr("new")}, false); r.ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("without leave: %+v", r)
	}
	if r := ask1(9, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr("new")}, true); r.ErrorCode != 0 || len(r.Partitions) != 2 {
		t.Errorf("auto-created: %+v", r)
	}
	if r := ask1(9, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr("not good")}, true); r.ErrorCode != kerr.InvalidTopicException.Code {
		t.Errorf("bad name: %+v", r)
	}
	for version, want := range map[int16]int{0: 2, 1: 0, 12: 0} { // an empty list: all topics, then none
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{}
		if r := ask[*kmsg.MetadataResponse](t, c, version, req); len(r.Topics) != want {
			t.Errorf("version %d: %d topics", version, len(r.Topics))
		}
	}
	inProcess := ask[*kmsg.MetadataResponse](t, c, 12, kmsg.NewPtrMetadataRequest())
	if inProcess.Brokers[0].Host == "127.0.0.1" || *inProcess.ClusterID == "" {
		t.Errorf("in process: %+v", inProcess.Brokers)
	}
	overTCP := raw[*kmsg.MetadataResponse](t, tcpClient(t, b), kmsg.NewPtrMetadataRequest())
	if overTCP.Brokers[0].Host != "127.0.0.1" || *overTCP.ClusterID != *inProcess.ClusterID {
		t.Errorf("over TCP: %+v", overTCP.Brokers)
	}
}

// TestDeleteTopic: a fetch that waits fails, as one for a topic that is not there, and the topic that comes after it under the name is
// another one.
func TestDeleteTopic(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b)
	adm := kadm.NewClient(cl)
	ctx := testContext(t)
	createTopic(t, cl, "t", 1)
	if err := cl.ProduceSync(ctx, numbered("t", 0, 3)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := adm.CommitAllOffsets(ctx, "g", kadm.Offsets{"t": {0: {Topic: "t", At: 2}}}); err != nil {
		t.Fatal(err)
	}
	topics, err := adm.ListTopics(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	c, d := dialRaw(t, b), dialRaw(t, b)
	c.send(t, 12, fetchRequest("t", 3, 10*time.Second))
	byID := fetchRequest("", 3, 10*time.Second)
	byID.Topics[0].TopicID = topics["t"].ID
	d.send(t, 13, byID)
	if _, err := adm.DeleteTopic(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for _, waiting := range []struct {
		c       *rawConn
		version int16
		want    *kerr.Error
	}{{c, 12, kerr.UnknownTopicOrPartition}, {d, 13, kerr.UnknownTopicID}} {
		resp := kmsg.NewPtrFetchResponse()
		resp.Version = waiting.version
		waiting.c.receive(t, waiting.c.correlation, resp)
		if code := resp.Topics[0].Partitions[0].ErrorCode; code != waiting.want.Code || time.Since(start) > 5*time.Second {
			t.Errorf("waiting fetch of version %d: error %d after %v", waiting.version, code, time.Since(start))
		}
	}
	createTopic(t, cl, "t", 1)
	if o, err := adm.FetchOffsets(ctx, "g"); err != nil || len(o) != 0 {
		t.Errorf("offsets of the old topic: %v, %v", o, err)
	}
	if got := ask[*kmsg.FetchResponse](t, c, 12, fetchRequest("t", 0, 0)); got.Topics[0].Partitions[0].HighWatermark != 0 {
		t.Errorf("records of the old topic: %+v", got.Topics[0])
	}
	if r, _ := adm.DeleteTopic(ctx, "nowhere"); !errors.Is(r.Err, kerr.UnknownTopicOrPartition) {
		t.Errorf("unknown: %v", r.Err)
	}
}

// fetchRequest asks for partition 0 of a topic.
func fetchRequest(topic string, offset int64, wait time.Duration) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(wait.Milliseconds()), 1, 1<<20
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.FetchOffset, rp.PartitionMaxBytes = offset, 1<<20
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

func TestDescribeConfigs(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b)
	adm := kadm.NewClient(cl)
	ctx := testContext(t)
	if r, err := adm.CreateTopic(ctx, 1, 1, map[string]*string{"retention.ms": kmsg.StringPtr("-1")}, "t"); err != nil || r.Err != nil {
		t.Fatal(err, r.Err)
	}
	rs, err := adm.DescribeTopicConfigs(ctx, "t", "nowhere")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rs {
		if r.Name == "nowhere" {
			if !errors.Is(r.Err, kerr.UnknownTopicOrPartition) {
				t.Errorf("unknown topic: %v", r.Err)
			}
			continue
		}
		byName := make(map[string]kadm.Config)
		for _, c := range r.Configs {
			byName[c.Key] = c
		}
		if c := byName["retention.ms"]; *c.Value != "-1" || c.Source != kmsg.ConfigSourceDynamicTopicConfig || len(c.Synonyms) != 1 {
			t.Errorf("retention.ms: %+v", c)
		}
		if c := byName["cleanup.policy"]; *c.Value != "delete" || c.Source != kmsg.ConfigSourceDefaultConfig {
			t.Errorf("cleanup.policy: %+v", c)
		}
	}
	if rs, err := adm.DescribeBrokerConfigs(ctx, 1); err != nil || rs[0].Err != nil || len(rs[0].Configs) < 20 {
		t.Errorf("broker: %v, %v", rs, err)
	}
	one := kmsg.NewPtrDescribeConfigsRequest()
	one.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t", ConfigNames: []string{"cleanup.policy"}}}
	if r := raw[*kmsg.DescribeConfigsResponse](t, cl, one); len(r.Resources[0].Configs) != 1 {
		t.Errorf("one config: %+v", r.Resources)
	}
	one.Resources[0].ConfigNames = []string{}
	if r := raw[*kmsg.DescribeConfigsResponse](t, cl, one); len(r.Resources[0].Configs) < 20 {
		t.Errorf("no names, which stand for all: %+v", r.Resources)
	}
}

func TestDialAfterClose(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Dial(context.Background(), "tcp", "x:1"); !errors.Is(err, broker.ErrClosed) {
		t.Error("a closed broker takes connections")
	}
}
