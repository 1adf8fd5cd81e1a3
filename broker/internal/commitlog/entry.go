package commitlog

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/broker/internal/batch"
)

const entryVersion = 1

// The kinds of change in an entry. They are on disk: never renumber them.
const (
	kindRecord = 1 + iota
	kindBegin
	kindMarker
	kindAppend // always the last: the batch goes to the end of the entry
	kindCreate
	kindDelete
	kindExpire
	kindTrim
	kindGrow
	kindConfigure
)

// entry is what one journal entry says: changes that happen together. All that depends on time, on randomness or on the state
// was decided before.
type entry struct {
	records []Record
	begins  []Begin
	markers []placedMarker
	append  *appendChange
	create  *Topic
	delete  *TopicID
	expire  *expireChange
	trim    *trimChange
	grow    *growChange
	// configure has the topic's new configs, all of them.
	configure *configureChange
}

// placedMarker is a marker with its place.
type placedMarker struct {
	Marker
	offset    int64
	timestamp int64
}

// appendChange is a batch with its place patched in.
type appendChange struct {
	TopicPartition
	begin bool  // opens the producer's transaction
	time  int64 // when, in milliseconds: producers are remembered from then on
	h     batch.Header
	raw   []byte
}

// expireChange forgets producers of a partition.
type expireChange struct {
	TopicPartition
	producers []int64
}

// trimChange deletes the records of a partition below an offset.
type trimChange struct {
	TopicPartition
	start int64
}

// growChange adds partitions to a topic, up to a number.
type growChange struct {
	topic      TopicID
	partitions int32
}

// configureChange replaces the configs of a topic.
type configureChange struct {
	topic   TopicID
	configs map[string]string
}

// encode appends the entry to b, without the bytes of its batch, which follow.
func (e *entry) encode(b []byte) []byte {
	b = append(b, entryVersion)
	for _, r := range e.records {
		b = append(b, kindRecord, byte(r.Machine))
		b = appendBytes(b, r.Data)
	}
	for _, g := range e.begins {
		b = appendTopicPartition(append(b, kindBegin), g.TopicPartition)
		b = binary.AppendVarint(b, g.ProducerID)
		b = binary.AppendVarint(b, int64(g.ProducerEpoch))
	}
	for i := range e.markers {
		m := &e.markers[i]
		b = appendTopicPartition(append(b, kindMarker), m.TopicPartition)
		b = binary.AppendVarint(b, m.ProducerID)
		b = binary.AppendVarint(b, int64(m.ProducerEpoch))
		b = binary.AppendVarint(b, int64(m.CoordinatorEpoch))
		b = append(b, boolByte(m.Commit))
		b = binary.AppendVarint(b, m.offset)
		b = binary.AppendVarint(b, m.timestamp)
	}
	if t := e.create; t != nil {
		b = appendTopic(append(b, kindCreate), t)
	}
	if e.delete != nil {
		b = append(append(b, kindDelete), e.delete[:]...)
	}
	if x := e.expire; x != nil {
		b = appendTopicPartition(append(b, kindExpire), x.TopicPartition)
		b = binary.AppendUvarint(b, uint64(len(x.producers)))
		for _, id := range x.producers {
			b = binary.AppendVarint(b, id)
		}
	}
	if x := e.trim; x != nil {
		b = appendTopicPartition(append(b, kindTrim), x.TopicPartition)
		b = binary.AppendVarint(b, x.start)
	}
	if x := e.grow; x != nil {
		b = append(append(b, kindGrow), x.topic[:]...)
		b = binary.AppendVarint(b, int64(x.partitions))
	}
	if x := e.configure; x != nil {
		b = append(append(b, kindConfigure), x.topic[:]...)
		b = appendConfigs(b, x.configs)
	}
	if a := e.append; a != nil {
		b = appendTopicPartition(append(b, kindAppend), a.TopicPartition)
		b = append(b, boolByte(a.begin))
		b = binary.AppendVarint(b, a.time)
	}
	return b
}

// decodeEntry is the inverse of encode, of the entry followed by its batch. What it returns aliases b.
func decodeEntry(b []byte) (e entry, err error) {
	r := reader{b: b}
	if v := r.byte(); r.err == nil && v != entryVersion {
		return e, fmt.Errorf("entry version %d is not known", v)
	}
	for len(r.b) > 0 {
		switch kind := r.byte(); kind {
		case kindRecord:
			e.records = append(e.records, Record{Machine: MachineID(r.byte()), Data: r.bytes()})
		case kindBegin:
			e.begins = append(e.begins, Begin{TopicPartition: r.topicPartition(), ProducerID: r.varint(), ProducerEpoch: r.int16()})
		case kindMarker:
			e.markers = append(e.markers, decodeMarker(&r))
		case kindAppend:
			a := &appendChange{TopicPartition: r.topicPartition(), begin: r.byte() == 1, time: r.varint()}
			a.raw, r.b = r.b, nil
			if r.err == nil {
				if a.h, err = batch.ParseHeader(a.raw); err != nil {
					return e, err
				}
				if len(a.raw) != a.h.Size() {
					return e, fmt.Errorf("batch of %d bytes, stored %d", a.h.Size(), len(a.raw))
				}
			}
			e.append = a
		case kindCreate:
			e.create = decodeTopic(&r)
		case kindDelete:
			id := r.topicID()
			e.delete = &id
		case kindExpire:
			e.expire = &expireChange{TopicPartition: r.topicPartition()}
			for range r.count(1) {
				e.expire.producers = append(e.expire.producers, r.varint())
			}
		case kindTrim:
			e.trim = &trimChange{TopicPartition: r.topicPartition(), start: r.varint()}
		case kindGrow:
			e.grow = &growChange{topic: r.topicID(), partitions: r.partitionCount()}
		case kindConfigure:
			e.configure = &configureChange{topic: r.topicID(), configs: decodeConfigs(&r)}
		default:
			if r.err == nil {
				return e, fmt.Errorf("change of kind %d is not known", kind)
			}
		}
	}
	return e, r.err
}

func decodeMarker(r *reader) (m placedMarker) {
	m.TopicPartition = r.topicPartition()
	m.ProducerID = r.varint()
	m.ProducerEpoch = r.int16()
	m.CoordinatorEpoch = r.int32()
	m.Commit = r.byte() == 1
	m.offset = r.varint()
	m.timestamp = r.varint()
	return m
}

func appendTopic(b []byte, t *Topic) []byte {
	b = append(b, t.ID[:]...)
	b = appendBytes(b, t.Name)
	b = binary.AppendVarint(b, int64(t.Partitions))
	return appendConfigs(b, t.Configs)
}

func appendConfigs(b []byte, configs map[string]string) []byte {
	b = binary.AppendUvarint(b, uint64(len(configs)))
	for _, k := range sortedKeys(configs) {
		b = appendBytes(appendBytes(b, k), configs[k])
	}
	return b
}

func decodeTopic(r *reader) *Topic {
	return &Topic{ID: r.topicID(), Name: r.string(), Partitions: r.partitionCount(), Configs: decodeConfigs(r)}
}

// partitionCount reads how many partitions a topic has.
func (r *reader) partitionCount() int32 {
	n := r.int32()
	if r.err == nil && (n < 1 || n > MaxPartitions) {
		r.fail()
	}
	return n
}

func decodeConfigs(r *reader) map[string]string {
	configs := map[string]string{}
	for range r.count(2) {
		k := r.string()
		configs[k] = r.string()
	}
	return configs
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}
