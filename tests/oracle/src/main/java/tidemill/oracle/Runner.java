package tidemill.oracle;

import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.LongSerializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers.RocksDBDslStoreSuppliers;

/** Runs cases through Kafka Streams, each in a driver of its own. Cases may run side by side. */
final class Runner {
    private final Path stateDir;
    private final boolean onDisk;
    private final AtomicLong drivers = new AtomicLong();

    /** {@code onDisk}: all stores are those that Kafka Streams has by default. */
    Runner(Path stateDir, boolean onDisk) {
        this.stateDir = stateDir;
        this.onDisk = onDisk;
    }

    /** What comes of each record of the case, in order. */
    List<List<Case.Result>> run(Shape shape, Case one) {
        List<Case.Result> results = new ArrayList<>();
        List<List<Case.Result>> all = new ArrayList<>();
        try (var driver = new TopologyTestDriver(
            Topologies.build(shape, results::add), properties(shape), Instant.EPOCH)) {
            List<TestInputTopic<String, Long>> topics = Topologies.SIDES.stream()
                .map(topic -> driver.createInputTopic(topic, new StringSerializer(), new LongSerializer()))
                .toList();
            for (Case.Arrival arrival : one.arrivals()) {
                topics.get(arrival.side()).pipeInput(arrival.key(), arrival.value(), arrival.timestamp());
                all.add(List.copyOf(results));
                results.clear();
            }
        }
        return all;
    }

    private Properties properties(Shape shape) {
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, "oracle-" + drivers.incrementAndGet());
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, "none:1");
        properties.put(StreamsConfig.STATE_DIR_CONFIG, stateDir.toString());
        properties.put(StreamsConfig.METRIC_REPORTER_CLASSES_CONFIG, "");
        Class<?> stores = onDisk || shape.isOnDisk() ? RocksDBDslStoreSuppliers.class : Stores.class;
        properties.put(StreamsConfig.DSL_STORE_SUPPLIERS_CLASS_CONFIG, stores);
        // Each result as soon as it is there: nothing is held in a cache, and closings are looked for at each record.
        properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        properties.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_OUTER_JOIN_SPURIOUS_RESULTS_FIX, 0L);
        properties.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_WINDOWED_AGGREGATION, 0L);
        return properties;
    }
}
