import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/**
 * Kafka Streams' side of the comparison: runs one job, with default settings but for its arguments (name=value), until its input is closed.
 * It prints "ready" when it runs, "read N" every 50 ms, and at the end "end commits=N". ../child.go is the same for Millrace.
 */
public final class Peer {
    private static final long TICK_MILLIS = 50;

    private Peer() {}

    public static void main(String[] args) throws Exception {
        Map<String, String> given = new HashMap<>();
        for (String arg : args) {
            String[] parts = arg.split("=", 2);
            given.put(parts[0], parts[1]);
        }
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, given.get("app"));
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, given.get("brokers"));
        config.put(StreamsConfig.STATE_DIR_CONFIG, given.get("dir"));
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG,
                given.get("guarantee").equals("alo") ? StreamsConfig.AT_LEAST_ONCE : StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, Long.parseLong(given.get("commit")));
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Integer.parseInt(given.get("threads")));
        config.put("auto.offset.reset", "earliest");
        KafkaStreams streams =
                new KafkaStreams(new Jobs(given.get("in"), given.get("other"), given.get("out")).build(given.get("job")).build(), config);
        streams.setUncaughtExceptionHandler(e -> {
            e.printStackTrace();
            Runtime.getRuntime().halt(1);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                say("ready");
            }
        });
        streams.start();
        AtomicBoolean ended = new AtomicBoolean();
        Thread input = new Thread(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (java.io.IOException e) {
                e.printStackTrace();
            }
            ended.set(true);
        });
        input.setDaemon(true);
        input.start();
        while (!ended.get()) {
            say("read " + total(streams, "process-total"));
            Thread.sleep(TICK_MILLIS);
        }
        long commits = total(streams, "commit-total");
        streams.close(CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP));
        say("end commits=" + commits);
    }

    /** The sum of a metric over all threads. */
    private static long total(KafkaStreams streams, String name) {
        double sum = 0;
        for (var metric : streams.metrics().values()) {
            if (metric.metricName().name().equals(name) && metric.metricName().group().equals("stream-thread-metrics")) {
                sum += ((Number) metric.metricValue()).doubleValue();
            }
        }
        return (long) sum;
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
