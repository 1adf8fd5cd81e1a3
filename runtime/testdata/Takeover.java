// Takes an application over with Kafka Streams: the stores that the changelogs describe, and the positions of its group. It goes on
// until the counts sum up to what is expected, prints what the stores hold, and leaves the group.
//
//   java -cp CLASSPATH Takeover.java BROKERS APPLICATION_ID INPUT STATE_DIR EXPECTED
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.InvalidStateStoreException;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;
import org.apache.kafka.streams.state.ReadOnlySessionStore;
import org.apache.kafka.streams.state.ReadOnlyWindowStore;

public class Takeover {
  static final Duration GRACE = Duration.ofHours(1);

  public static void main(String[] args) throws Exception {
    Properties config = new Properties();
    config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[1]);
    config.put(StreamsConfig.STATE_DIR_CONFIG, args[3]);
    config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
    config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
    config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0); // reading a whole window store through its cache takes minutes
    config.put("auto.offset.reset", "earliest");

    StreamsBuilder builder = new StreamsBuilder();
    KGroupedStream<String, String> grouped =
        builder.stream(args[2], Consumed.with(Serdes.String(), Serdes.String())).groupByKey();
    grouped.count(Materialized.as("counts"));
    grouped.windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofSeconds(10), GRACE)).count(Materialized.as("windows"));
    grouped.windowedBy(SessionWindows.ofInactivityGapAndGrace(Duration.ofSeconds(1), GRACE)).count(Materialized.as("sessions"));

    AtomicLong restored = new AtomicLong();
    try (KafkaStreams streams = new KafkaStreams(builder.build(), config)) {
      streams.setGlobalStateRestoreListener(new StateRestoreListener() {
        @Override public void onRestoreStart(TopicPartition p, String store, long from, long to) {}
        @Override public void onBatchRestored(TopicPartition p, String store, long end, long n) { restored.addAndGet(n); }
        @Override public void onRestoreEnd(TopicPartition p, String store, long total) {}
      });
      streams.start();
      await(streams, Long.parseLong(args[4]));
      print(streams);
      System.out.println("restored " + restored.get());
      // Its members stay in the group else, until their session ends.
      streams.close(CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP));
    }
  }

  static void await(KafkaStreams streams, long expected) throws InterruptedException {
    long sum = 0;
    for (long deadline = System.nanoTime() + Duration.ofMinutes(2).toNanos(); System.nanoTime() < deadline; Thread.sleep(50)) {
      try {
        sum = 0;
        var all = counts(streams).all();
        while (all.hasNext()) sum += all.next().value;
        all.close();
        if (sum == expected) return;
      } catch (InvalidStateStoreException notYet) {
        // restoring, or between owners
      }
    }
    throw new IllegalStateException("the counts sum up to " + sum + ", not to " + expected);
  }

  static ReadOnlyKeyValueStore<String, Long> counts(KafkaStreams streams) {
    return streams.store(StoreQueryParameters.fromNameAndType("counts", QueryableStoreTypes.keyValueStore()));
  }

  static void print(KafkaStreams streams) {
    ReadOnlyWindowStore<String, Long> windows =
        streams.store(StoreQueryParameters.fromNameAndType("windows", QueryableStoreTypes.windowStore()));
    ReadOnlySessionStore<String, Long> sessions =
        streams.store(StoreQueryParameters.fromNameAndType("sessions", QueryableStoreTypes.sessionStore()));
    try (var all = counts(streams).all()) {
      while (all.hasNext()) {
        var count = all.next();
        System.out.printf("counts %s = %d%n", count.key, count.value);
        try (var of = sessions.fetch(count.key)) {
          while (of.hasNext()) {
            var s = of.next();
            System.out.printf("sessions %s %d-%d = %d%n", s.key.key(), s.key.window().start(), s.key.window().end(), s.value);
          }
        }
      }
    }
    try (var all = windows.all()) {
      while (all.hasNext()) {
        var w = all.next();
        System.out.printf("windows %s %d = %d%n", w.key.key(), w.key.window().start(), w.value);
      }
    }
  }
}
