package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// dialNode connects with the broker as if it were node-N:1. What instead answers is not asked of the broker; disguise changes what the broker
// answers. An error of either ends the connection.
func dialNode(ctx context.Context, broker *brokertest.Broker, network, address string, instead func(request []byte, node int32) ([]byte, error),
	disguise func(request, answer []byte) ([]byte, error)) (net.Conn, error) {
	var node int32
	if _, err := fmt.Sscanf(address, "node-%d:1", &node); err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	up, err := broker.Dial(ctx, network, broker.Brokers()[0])
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	go func() {
		defer func() { _, _ = far.Close(), up.Close() }() // whoever waits sees the end
		for err == nil {
			err = serveOne(far, up, func(request []byte) ([]byte, error) { return instead(request, node) }, disguise)
		}
	}()
	return near, nil
}

// serveOne answers one request.
func serveOne(client, up io.ReadWriter, instead func([]byte) ([]byte, error), disguise func(request, answer []byte) ([]byte, error)) error {
	request, err := readFrame(client)
	if err != nil {
		return err
	}
	answer, err := instead(request)
	if err == nil && answer == nil {
		if err = writeFrame(up, request); err != nil {
			return err
		}
		if answer, err = readFrame(up); err == nil {
			answer, err = disguise(request, answer)
		}
	}
	if err != nil {
		return err
	}
	return writeFrame(client, answer)
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeFrame(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// readRequest decodes a request.
func readRequest(frame []byte) (kmsg.Request, error) {
	req := kmsg.RequestForKey(int16(binary.BigEndian.Uint16(frame)))
	req.SetVersion(int16(binary.BigEndian.Uint16(frame[2:])))
	r := kbin.Reader{Src: frame[8:]}
	r.NullableString() // client id
	if req.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	return req, errors.Join(r.Complete(), req.ReadFrom(r.Src))
}

// answerFetch answers for each partition of a fetch what edit says.
func answerFetch(req *kmsg.FetchRequest, edit func(*kmsg.FetchResponseTopicPartition)) *kmsg.FetchResponse {
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	for _, rt := range req.Topics {
		t := kmsg.NewFetchResponseTopic()
		t.Topic, t.TopicID = rt.Topic, rt.TopicID
		for _, rp := range rt.Partitions {
			p := kmsg.NewFetchResponseTopicPartition()
			p.Partition = rp.Partition
			edit(&p)
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// asTwoNodes makes an answer about metadata tell of two nodes, node-0:1 and node-1:1, instead of the broker, whose id is that of the first one, and
// what edit says besides. Other answers stay as they are.
func asTwoNodes(request, answer []byte, edit func(resp *kmsg.MetadataResponse, first int32)) ([]byte, error) {
	if kmsg.Key(binary.BigEndian.Uint16(request)) != kmsg.Metadata {
		return answer, nil
	}
	resp := kmsg.NewPtrMetadataResponse()
	resp.SetVersion(int16(binary.BigEndian.Uint16(request[2:])))
	header := 4
	if resp.IsFlexible() {
		header++
	}
	if err := resp.ReadFrom(answer[header:]); err != nil {
		return nil, err
	}
	first := resp.Brokers[0].NodeID
	resp.Brokers = append(resp.Brokers, resp.Brokers[0])
	for i := range resp.Brokers {
		b := &resp.Brokers[i]
		b.NodeID, b.Host, b.Port = first+int32(i), fmt.Sprintf("node-%d", i), 1
	}
	edit(resp, first)
	return respond(request, resp), nil
}

func respond(request []byte, resp kmsg.Response) []byte {
	b := slices.Clone(request[4:8]) // correlation id
	if resp.IsFlexible() && resp.Key() != kmsg.ApiVersions.Int16() {
		b = append(b, 0)
	}
	return resp.AppendTo(b)
}
