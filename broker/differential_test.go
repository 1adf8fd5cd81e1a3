package broker_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// difference is a field in which answers are known to differ, and why. In the field a star stands for anything.
type difference struct {
	key    int16
	field  string
	reason string
}

// comparison asks a real Kafka and this broker the same, and compares the answers field by field.
type comparison struct {
	t     testing.TB
	conns [2]*rawConn // Kafka's, ours
	other [2]*rawConn // another to each, for requests that wait
	run   string      // what the names of the test begin with
	used  map[int]bool
	asked int
}

const kafkas, ours = 0, 1

// newComparison connects to both, or skips the test.
func newComparison(t *testing.T) *comparison {
	t.Helper()
	addr := os.Getenv("MILLRACE_KAFKA")
	if addr == "" {
		t.Skip("MILLRACE_KAFKA=host:port names no Kafka to compare with")
	}
	b := brokertest.Start(t, brokertest.Listen(), brokertest.AutoCreate(1))
	c := &comparison{t: t, used: map[int]bool{}}
	for _, conns := range []*[2]*rawConn{&c.conns, &c.other} {
		conns[kafkas], conns[ours] = dialAddr(t, strings.Split(addr, ",")[0]), dialTCP(t, b)
		for _, conn := range conns {
			if err := conn.SetDeadline(time.Now().Add(4 * testTimeout)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c
}

// passing are codes by which Kafka says that something has not settled yet: it is asked again.
var passing = []int16{kerr.CoordinatorLoadInProgress.Code, kerr.CoordinatorNotAvailable.Code, kerr.NotCoordinator.Code, kerr.ConcurrentTransactions.Code,
	kerr.LeaderNotAvailable.Code, kerr.NotLeaderForPartition.Code}

// both sends what build makes for each side, compares the answers, and returns them.
func both[R kmsg.Response](c *comparison, what string, version int16, build func(side int) kmsg.Request) (answers [2]R) {
	c.t.Helper()
	for side, conn := range c.conns {
		for deadline := time.Now().Add(testTimeout / 2); ; time.Sleep(20 * time.Millisecond) { // there is nothing to be waited for
			answers[side] = ask[R](c.t, conn, version, build(side))
			again := slices.ContainsFunc(errorCodes(reflect.ValueOf(answers[side]), nil), func(code int16) bool { return slices.Contains(passing, code) })
			if side == ours || !again || time.Now().After(deadline) {
				break
			}
		}
	}
	compareAnswers(c, what, version, answers)
	return answers
}

// begin sends what build makes for each side on another connection, where it waits. The function that it returns takes the answers, compares
// them, and returns them.
func begin[R kmsg.Response](c *comparison, what string, version int16, build func(side int) kmsg.Request) (end func() [2]R) {
	c.t.Helper()
	var requests [2]kmsg.Request
	for side, conn := range c.other {
		requests[side] = build(side)
		conn.send(c.t, version, requests[side])
	}
	return func() (answers [2]R) {
		c.t.Helper()
		for side, conn := range c.other {
			resp := requests[side].ResponseKind()
			resp.SetVersion(version)
			conn.receive(c.t, conn.correlation, resp)
			answers[side] = resp.(R)
		}
		compareAnswers(c, what, version, answers)
		return answers
	}
}

func compareAnswers[R kmsg.Response](c *comparison, what string, version int16, answers [2]R) {
	c.t.Helper()
	c.asked++
	key := answers[ours].Key()
	kafka, own := flatten(answers[kafkas]), flatten(answers[ours])
	fields := maps.Clone(kafka)
	maps.Copy(fields, own)
	lacking := "\x00" // the last element that one side has not: its fields are not told as well
	for _, f := range slices.Sorted(maps.Keys(fields)) {
		k, inKafka := kafka[f]
		o, inOurs := own[f]
		if k == o && inKafka == inOurs || strings.HasPrefix(f, lacking) {
			continue
		}
		if inKafka != inOurs && strings.HasSuffix(f, "]") {
			lacking = f
		}
		if !c.known(key, strings.ReplaceAll(f, c.run, "RUN")) {
			c.t.Errorf("%s: %s version %d: %s is %q, Kafka says %q", what, kmsg.NameForKey(key), version, strings.ReplaceAll(f, c.run, "RUN"), o, k)
		}
	}
}

// same is both with the same request for each side.
func same[R kmsg.Response](c *comparison, what string, version int16, req kmsg.Request) [2]R {
	c.t.Helper()
	return both[R](c, what, version, func(int) kmsg.Request { return req })
}

func (c *comparison) known(key int16, field string) bool {
	for i, d := range differences {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(d.field), `\*`, ".*")
		if d.key == key && regexp.MustCompile("^"+pattern+"$").MatchString(field) {
			c.used[i] = true
			return true
		}
	}
	return false
}

// finish fails for every known difference that was not found.
func (c *comparison) finish() {
	for i, d := range differences {
		if !c.used[i] {
			c.t.Errorf("the known difference of %s, %s, is none: %s", kmsg.NameForKey(d.key), d.field, d.reason)
		}
	}
	c.t.Logf("%d requests compared", c.asked)
}

// flatten returns the fields of a response, by their path, without what differs from one broker to the next: ids stand for whether there is
// one, addresses, times of the clock and messages for people are left out. Elements of lists go by their names, so that their order does
// not matter.
func flatten(resp kmsg.Response) map[string]string {
	out := map[string]string{}
	walk(reflect.ValueOf(resp).Elem(), "", out)
	return out
}

// left out: by field name.
var unordinary = map[string]bool{
	"Version": true, "UnknownTags": true, "ThrottleMillis": true, "ErrorMessage": true, "Host": true, "Port": true, "Rack": true,
	"ClientHost": true, "StartTimestamp": true, "LastTimestamp": true, "Documentation": true,
}

// identity: fields of which only whether they are set is compared.
var identity = map[string]bool{
	"TopicID": true, "ProducerID": true, "MemberID": true, "LeaderID": true, "Leader": true, "ClusterID": true, "ControllerID": true, "NodeID": true,
	"BrokerID": true, "SessionID": true, "Replicas": true, "ISR": true, "OfflineReplicas": true,
}

func walk(v reflect.Value, at string, out map[string]string) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			out[at] = "null"
			return
		}
		walk(v.Elem(), at, out)
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			switch {
			case unordinary[name]:
			case identity[name]:
				out[at+"."+name] = set(v.Field(i))
			default:
				walk(v.Field(i), at+"."+name, out)
			}
		}
	case reflect.Slice:
		if b, ok := v.Interface().([]byte); ok {
			out[at] = bytesOf(at, b)
			return
		}
		if out[at+"#"] = fmt.Sprint(v.Len()); v.IsNil() { // null, where that can be
			out[at+"#"] = "0, null"
		}
		for i := range v.Len() {
			element := fmt.Sprintf("%s[%s]", at, elementName(v.Index(i), i))
			if v.Index(i).Kind() == reflect.Struct {
				out[element] = "there"
			}
			walk(v.Index(i), element, out)
		}
	default:
		out[at] = fmt.Sprint(v.Interface())
	}
}

// set says whether an id is there: negative numbers, empty strings and lists, null and zero bytes are none.
func set(v reflect.Value) string {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "none"
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Int32, reflect.Int64:
		return map[bool]string{true: "some", false: "none"}[v.Int() >= 0 && v.Int() != 0 || v.Int() == 0 && v.Kind() == reflect.Int64]
	case reflect.Slice:
		return fmt.Sprintf("%d", v.Len())
	}
	return map[bool]string{true: "none", false: "some"}[v.IsZero()]
}

// maxChosenID is the length of the member ids that tests choose.
const maxChosenID = 2

// elementName returns what an element of a list goes by.
func elementName(v reflect.Value, index int) string {
	if v.Kind() != reflect.Struct {
		return fmt.Sprint(index)
	}
	for _, name := range []string{"Topic", "Group", "ResourceName", "Name", "Key", "Partition", "User", "TransactionalID", "Feature", "ApiKey", "InstanceID"} {
		f := v.FieldByName(name)
		for f.IsValid() && f.Kind() == reflect.Pointer && !f.IsNil() {
			f = f.Elem()
		}
		if f.IsValid() && f.Kind() != reflect.Pointer && !(f.Kind() == reflect.String && f.Len() == 0) {
			return strings.NewReplacer("[", "(", "]", ")").Replace(fmt.Sprint(f.Interface()))
		}
	}
	// Members of a KIP-848 group go by their ids, where the test has chosen them. There is one at most whose id a broker has made.
	if id := v.FieldByName("MemberID"); id.IsValid() && v.FieldByName("MemberEpoch").IsValid() {
		if id.Len() > maxChosenID {
			return "made"
		}
		return id.String()
	}
	return fmt.Sprint(index)
}

// bytesOf returns bytes as text: of record batches what is the producer's, and of markers that they are some.
func bytesOf(at string, b []byte) string {
	if !strings.HasSuffix(at, ".RecordBatches") {
		return hex.EncodeToString(b)
	}
	var out []string
	for len(b) >= 61 {
		n := min(12+int(binary.BigEndian.Uint32(b[8:])), len(b))
		offset := binary.BigEndian.Uint64(b)
		if b[22]&0x20 != 0 {
			out = append(out, fmt.Sprintf("%d: marker", offset))
		} else { // without leader epoch, checksum and producer id
			out = append(out, fmt.Sprintf("%d: %x %x", offset, b[21:43], b[51:n]))
		}
		b = b[n:]
	}
	return strings.Join(out, "; ")
}
