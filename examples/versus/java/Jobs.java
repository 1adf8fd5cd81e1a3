import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.WindowedSerdes;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.WindowStore;

/** The topologies of ../jobs.go, with default stores: RocksDB, cached, logged. */
final class Jobs {
    private static final Serde<String> TEXT = Serdes.String();
    private static final Serde<byte[]> BYTES = Serdes.ByteArray();
    private static final Serde<Long> NUMBER = Serdes.Long();

    private static final Duration WINDOW = Duration.ofSeconds(10);
    private static final Duration FINAL_WINDOW = Duration.ofSeconds(1);
    private static final Duration SESSION_GAP = Duration.ofMillis(500);
    private static final Duration SESSION_GRACE = Duration.ofSeconds(1);
    private static final Duration JOIN_WITHIN = Duration.ofMillis(500);
    private static final Duration JOIN_GRACE = Duration.ofSeconds(10);
    private static final long SECOND_KEYS = 10_000;
    private static final int VALUE = 100;
    private static final int JOINED_LEFT = 84;

    private final StreamsBuilder builder = new StreamsBuilder();
    private final String in;
    private final String other;
    private final String out;

    Jobs(String in, String other, String out) {
        this.in = in;
        this.other = other;
        this.out = out;
    }

    StreamsBuilder build(String job) {
        switch (job) {
            case "passthrough" -> builder.stream(in, Consumed.with(BYTES, BYTES)).mapValues(Jobs::increment).to(out, Produced.with(BYTES, BYTES));
            case "count" -> counted(grouped());
            case "window" -> grouped().windowedBy(TimeWindows.ofSizeWithNoGrace(WINDOW))
                    .count(Materialized.<String, Long, WindowStore<Bytes, byte[]>>as("counts"))
                    .toStream()
                    .to(out, Produced.with(WindowedSerdes.timeWindowedSerdeFrom(String.class, WINDOW.toMillis()), NUMBER));
            case "suppress" -> grouped().windowedBy(TimeWindows.ofSizeWithNoGrace(FINAL_WINDOW))
                    .count(Materialized.<String, Long, WindowStore<Bytes, byte[]>>as("counts").withKeySerde(TEXT).withValueSerde(NUMBER))
                    .suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()))
                    .toStream()
                    .to(out, Produced.with(WindowedSerdes.timeWindowedSerdeFrom(String.class, FINAL_WINDOW.toMillis()), NUMBER));
            case "session" -> grouped().windowedBy(SessionWindows.ofInactivityGapAndGrace(SESSION_GAP, SESSION_GRACE))
                    .count(Materialized.<String, Long, SessionStore<Bytes, byte[]>>as("counts"))
                    .toStream()
                    .to(out, Produced.with(WindowedSerdes.sessionWindowedSerdeFrom(String.class), NUMBER));
            case "repartition" -> counted(stream(in)
                    .selectKey((key, value) -> secondKey(value))
                    .groupByKey(Grouped.with("second", TEXT, BYTES)));
            case "join" -> {
                KTable<String, byte[]> rows = builder.table(other, Consumed.with(TEXT, BYTES),
                        Materialized.<String, byte[], KeyValueStore<Bytes, byte[]>>as("rows"));
                stream(in).join(rows, Jobs::row, Joined.with(TEXT, BYTES, BYTES)).to(out, Produced.with(TEXT, BYTES));
            }
            case "streamjoin" -> stream(in)
                    .join(stream(other), Jobs::pair, JoinWindows.ofTimeDifferenceAndGrace(JOIN_WITHIN, JOIN_GRACE),
                            StreamJoined.with(TEXT, BYTES, BYTES))
                    .to(out, Produced.with(TEXT, BYTES));
            default -> throw new IllegalArgumentException("there is no job " + job);
        }
        return builder;
    }

    private KStream<String, byte[]> stream(String topic) {
        return builder.stream(topic, Consumed.with(TEXT, BYTES));
    }

    private KGroupedStream<String, byte[]> grouped() {
        return stream(in).groupByKey(Grouped.with(TEXT, BYTES));
    }

    private void counted(KGroupedStream<String, byte[]> groups) {
        groups.count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("counts")).toStream().to(out, Produced.with(TEXT, NUMBER));
    }

    private static byte[] increment(byte[] value) {
        byte[] copy = value.clone();
        copy[copy.length - 1]++;
        return copy;
    }

    private static byte[] row(byte[] value, byte[] row) {
        byte[] joined = Arrays.copyOf(value, VALUE);
        System.arraycopy(row, 0, joined, JOINED_LEFT, VALUE - JOINED_LEFT);
        return joined;
    }

    private static byte[] pair(byte[] left, byte[] right) {
        return ByteBuffer.allocate(16).put(left, 0, 8).put(right, 0, 8).array();
    }

    private static String secondKey(byte[] value) {
        long index = (ByteBuffer.wrap(value).getLong(8) >>> 32) % SECOND_KEYS;
        byte[] key = "sec-000000000000".getBytes(StandardCharsets.ISO_8859_1);
        for (int i = key.length - 1; index > 0; i--, index /= 10) {
            key[i] += (byte) (index % 10);
        }
        return new String(key, StandardCharsets.ISO_8859_1);
    }
}
