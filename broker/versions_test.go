package broker_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// TestOldClients runs a transaction, a group and an administrator with the versions that clients of each Kafka release speak.
func TestOldClients(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	for name, versions := range map[string]*kversion.Versions{
		"1.1": kversion.V1_1_0(), "2.0": kversion.V2_0_0(), "2.4": kversion.V2_4_0(), "2.8": kversion.V2_8_0(),
		"3.3": kversion.V3_3_0(), "3.9": kversion.V3_9_0(), "4.0": kversion.V4_0_0(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic, max := "v"+name, kgo.MaxVersions(versions)
			cl := client(t, b, max, kgo.TransactionalID(topic))
			createTopicWith(t, cl, topic, 2)
			transact(t, cl, kgo.TryAbort, numbered(topic, 0, 10)...)
			transact(t, cl, kgo.TryCommit, numbered(topic, 10, 20)...)
			transact(t, cl, kgo.TryCommit, numbered(topic, 20, 30)...)
			reader := client(t, b, max, kgo.ConsumerGroup(topic), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
				kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
			if got := consume(t, reader, 20); slices.Contains(got, topic+"-5") {
				t.Error("an aborted record is visible")
			}
			ctx := testContext(t)
			if err := reader.CommitUncommittedOffsets(ctx); err != nil {
				t.Fatal(err)
			}
			adm := kadm.NewClient(cl)
			offsets, err := adm.FetchOffsets(ctx, topic)
			if err != nil || len(offsets[topic]) != 2 {
				t.Errorf("offsets %v, %v", offsets, err)
			}
			for _, list := range []func() (kadm.ListedOffsets, error){
				func() (kadm.ListedOffsets, error) { return adm.ListStartOffsets(ctx, topic) },
				func() (kadm.ListedOffsets, error) { return adm.ListEndOffsets(ctx, topic) },
				func() (kadm.ListedOffsets, error) { return adm.ListCommittedOffsets(ctx, topic) },
			} {
				if listed, err := list(); err != nil || listed.Error() != nil {
					t.Errorf("list offsets: %v, %v", err, listed.Error())
				}
			}
			if _, err := adm.DescribeTopicConfigs(ctx, topic); err != nil {
				t.Error(err)
			}
			if r, err := adm.DeleteTopic(ctx, topic); err != nil || r.Err != nil {
				t.Errorf("delete: %v, %v", err, r.Err)
			}
		})
	}
}

// createTopicWith creates a topic with a replication factor, which old versions ask for.
func createTopicWith(t testing.TB, cl *kgo.Client, topic string, partitions int32) {
	t.Helper()
	r, err := kadm.NewClient(cl).CreateTopic(testContext(t), partitions, 1, nil, topic)
	if err != nil || r.Err != nil {
		t.Fatalf("create %s: %v, %v", topic, err, r.Err)
	}
}

// TestApiVersions checks what decides how clients behave.
func TestApiVersions(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	for version := range int16(7) {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			req := kmsg.NewPtrApiVersionsRequest()
			req.ClientSoftwareName, req.ClientSoftwareVersion = "test", "1.0"
			c := dialRaw(t, b)
			c.send(t, version, req)
			resp := kmsg.NewPtrApiVersionsResponse()
			if version <= 4 {
				resp.Version = version
			}
			c.receive(t, c.correlation, resp)
			if unknown := version > 4; (resp.ErrorCode == 35) != unknown || !unknown && resp.ErrorCode != 0 {
				t.Errorf("error %d", resp.ErrorCode)
			}
			if len(resp.ApiKeys) != 45 {
				t.Errorf("%d keys", len(resp.ApiKeys))
			}
			for _, k := range resp.ApiKeys {
				if k.ApiKey == 0 && k.MinVersion != 0 || k.ApiKey > 75 {
					t.Errorf("key %+v", k)
				}
			}
			if version < 3 || version > 4 {
				return
			}
			if resp.FinalizedFeaturesEpoch < 0 || len(resp.FinalizedFeatures) != 3 || len(resp.SupportedFeatures) != []int{1, 3}[version-3] {
				t.Errorf("features %+v %+v %d", resp.SupportedFeatures, resp.FinalizedFeatures, resp.FinalizedFeaturesEpoch)
			}
			req.ClientSoftwareName = "; drop"
			if again := ask[*kmsg.ApiVersionsResponse](t, c, version, req); again.ErrorCode != 42 {
				t.Errorf("a bad software name: %d", again.ErrorCode)
			}
		})
	}
}
