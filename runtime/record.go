package runtime

import (
	"bytes"
	"context"
	"fmt"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/topology"
)

// topologyTopic is where the group's leader writes down what the topology is. Its name ends as that of an internal topic does, so that
// Kafka's reset tool removes it with the others.
func topologyTopic(applicationID string) string {
	return applicationID + "-millrace-topology-changelog"
}

// topologyKey is the key of the topic's records. There is one kind of record yet.
const topologyKey = "topology"

func (p *plan) topologyTopic() client.NewTopic {
	return client.NewTopic{
		Name: topologyTopic(p.cfg.ApplicationID), Partitions: 1, ReplicationFactor: p.cfg.ReplicationFactor,
		Configs: map[string]string{"cleanup.policy": "compact"},
	}
}

// record writes the topology's canonical form if it is not what stands in the topic (DESIGN D10), and says whose state the new form leaves
// behind. Nothing depends on it yet, so a failure is logged and tried again by the next leader, or in the next rebalance.
func (p *plan) record(ctx context.Context, counts topology.Partitions) {
	form := p.topology.Canonical(counts)
	if bytes.Equal(form, p.recorded) {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	last, err := p.lastRecorded(bounded)
	if err == nil && !bytes.Equal(last, form) {
		for _, store := range p.topology.Orphaned(last) {
			p.cfg.Logger.Warn("the topology has changed: a store is not there any more, or of another kind; its state stays in its changelog, unused. "+
				"If it was renamed, give it its old name again", "store", store, "topic", topology.ChangelogTopic(p.cfg.ApplicationID, store))
		}
		err = p.writeRecord(bounded, form)
	}
	if err != nil {
		if ctx.Err() != nil { // the instance stops
			return
		}
		p.cfg.Logger.Warn("the topology could not be written down", "topic", topologyTopic(p.cfg.ApplicationID), "err", err)
		return
	}
	p.recorded = form
}

// recordTimeout bounds reading and writing the topic: the group waits.
const recordTimeout = lookupTimeout

// lastRecorded reads the last form in the topic, nil if there is none.
func (p *plan) lastRecorded(ctx context.Context) (form []byte, err error) {
	tp := client.TopicPartition{Topic: topologyTopic(p.cfg.ApplicationID)}
	ends, err := p.client.ListOffsets(ctx, client.HighWatermark, []client.TopicPartition{tp})
	if err != nil {
		return nil, err
	}
	starts, err := p.client.ListOffsets(ctx, client.LogStart, []client.TopicPartition{tp})
	if err != nil || starts[tp] == ends[tp] {
		return nil, err
	}
	f, err := client.NewFetcher(p.client, client.FetcherConfig{})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	f.Add(tp, starts[tp])
	for at := starts[tp]; at < ends[tp]; {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("read %s at offset %d: %w", tp.Topic, at, ctx.Err())
		case <-f.Ready():
		}
		for _, got := range f.Take(nil) {
			if got.Err != nil {
				err = got.Err
			}
			if got.Batch == nil {
				continue
			}
			var r topology.Raw
			for ok := true; ok && err == nil; {
				if ok, err = got.Batch.Next(&r); ok && string(r.Key) == topologyKey {
					form = bytes.Clone(r.Value)
				}
			}
			at = got.Batch.End()
			got.Batch.Release()
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", tp.Topic, err)
		}
	}
	return form, nil
}

func (p *plan) writeRecord(ctx context.Context, form []byte) error {
	producer, err := client.NewProducer(p.client, client.ProducerConfig{})
	if err != nil {
		return err
	}
	defer producer.Close()
	if err := producer.Init(ctx); err != nil {
		return err
	}
	b := producer.Builder()
	if err := b.Append([]byte(topologyKey), form, p.cfg.Now().UnixMilli(), nil); err != nil {
		return err
	}
	if err := producer.Send(ctx, client.TopicPartition{Topic: topologyTopic(p.cfg.ApplicationID)}, b); err != nil {
		return err
	}
	return producer.Flush(ctx)
}
