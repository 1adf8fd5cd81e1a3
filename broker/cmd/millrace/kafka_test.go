package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// kafkaNames are what Kafka's own tool calls the fields of a batch.
var kafkaNames = map[string]string{
	"baseOffset": "baseOffset", "lastOffset": "lastOffset", "count": "count", "baseSequence": "baseSequence", "lastSequence": "lastSequence",
	"producerId": "producerId", "producerEpoch": "producerEpoch", "leaderEpoch": "partitionLeaderEpoch", "transactional": "isTransactional",
	"control": "isControl", "position": "position", "maxTime": "CreateTime", "size": "size", "codec": "compresscodec", "crc": "crc", "valid": "isvalid",
}

// TestKafkaDumpsTheSame: our segments are Kafka's, and its tool says of every batch what ours does. MILLRACE_KAFKA_CLASSPATH has its jars.
func TestKafkaDumpsTheSame(t *testing.T) {
	t.Parallel()
	classpath := os.Getenv("MILLRACE_KAFKA_CLASSPATH")
	if classpath == "" {
		t.Skip("MILLRACE_KAFKA_CLASSPATH, what `.ci/kafka/kafka classpath` prints, is not set")
	}
	segments, err := filepath.Glob("../../testdata/golden/*/topics/*/*.log")
	if err != nil || len(segments) < 4 {
		t.Fatal(segments, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "java", "-cp", classpath, "org.apache.kafka.tools.DumpLogSegments", "--files", strings.Join(segments, ",")).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var kafka []map[string]string
	field := regexp.MustCompile(`(\w+): (\S+)`)
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "baseOffset:") {
			continue
		}
		batch := map[string]string{}
		for _, m := range field.FindAllStringSubmatch(line, -1) {
			batch[m[1]] = m[2]
		}
		kafka = append(kafka, batch)
	}
	n := 0
	for line := range strings.Lines(output(t, "dump -o json "+strings.Join(segments, " "))) {
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		var item map[string]any
		if err := d.Decode(&item); err != nil {
			t.Fatal(err)
		}
		if item["kind"] != "batch" {
			continue
		}
		if n == len(kafka) {
			t.Fatalf("Kafka has %d batches, and no %v", n, item)
		}
		for own, name := range kafkaNames {
			if got, want := fmt.Sprint(item[own]), kafka[n][name]; got != want {
				t.Errorf("batch %d: %s is %s, Kafka says %s", n, own, got, want)
			}
		}
		n++
	}
	if n != len(kafka) || n < 20 {
		t.Errorf("%d batches, Kafka has %d", n, len(kafka))
	}
}
