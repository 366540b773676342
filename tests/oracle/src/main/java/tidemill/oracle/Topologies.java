package tidemill.oracle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.time.Duration;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.EmitStrategy;
import org.apache.kafka.streams.kstream.GlobalKTable;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.SlidingWindows;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.ValueJoiner;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.Record;

/** The topology of each shape. Every result goes to one consumer, as it is forwarded. */
final class Topologies {
    /** The topics of the two sides. An operator with one input reads the first. */
    static final List<String> SIDES = List.of("left", "right");

    private static final ValueJoiner<Long, Long, JsonNode> PAIR =
        (left, right) -> JsonNodeFactory.instance.arrayNode().add(left).add(right);

    private final StreamsBuilder builder = new StreamsBuilder();
    private final Shape shape;
    private final Consumer<Case.Result> results;

    private Topologies(Shape shape, Consumer<Case.Result> results) {
        this.shape = shape;
        this.results = results;
    }

    static Topology build(Shape shape, Consumer<Case.Result> results) {
        Topologies topologies = new Topologies(shape, results);
        topologies.add();
        return topologies.builder.build();
    }

    /** The key that a stream's record of a stream-globaltable join asks for: one value in four asks for none. */
    static String foreignKey(Long value) {
        return value == null || value % 4 == 0 ? null : List.of("a", "ab", "b").get((int) (value % 4) - 1);
    }

    private void add() {
        switch (shape.operator()) {
            case "tumbling", "hopping" -> collectWindowed(timeWindows());
            case "sliding" -> collectWindowed(slidingWindows());
            case "session" -> collectWindowed(sessions());
            case "stream" -> collect(grouped().aggregate(Tally::empty, Tally::add, inStore()).toStream());
            case "stream-stream" -> collect(streamStream());
            case "stream-table" -> collect(streamTable());
            case "stream-globaltable" -> collect(streamGlobalTable());
            case "table-table" -> collect(tableTable().toStream());
            default -> throw new IllegalArgumentException(shape.json() + ": no such operator");
        }
    }

    private KStream<Windowed<String>, JsonNode> timeWindows() {
        TimeWindows windows = TimeWindows.ofSizeAndGrace(shape.duration("size"), shape.duration("grace"));
        if (shape.has("advance")) {
            windows = windows.advanceBy(shape.duration("advance"));
        }
        return grouped().windowedBy(windows).emitStrategy(emit())
            .aggregate(Tally::empty, Tally::add, inStore()).toStream();
    }

    private KStream<Windowed<String>, JsonNode> slidingWindows() {
        SlidingWindows windows =
            SlidingWindows.ofTimeDifferenceAndGrace(shape.duration("size"), shape.duration("grace"));
        return grouped().windowedBy(windows).emitStrategy(emit())
            .aggregate(Tally::empty, Tally::add, inStore()).toStream();
    }

    private KStream<Windowed<String>, JsonNode> sessions() {
        SessionWindows windows =
            SessionWindows.ofInactivityGapAndGrace(shape.duration("gap"), shape.duration("grace"));
        return grouped().windowedBy(windows).emitStrategy(emit())
            .aggregate(Tally::empty, Tally::add, (key, one, two) -> Tally.merge(one, two), inStore()).toStream();
    }

    private KStream<String, JsonNode> streamStream() {
        KStream<String, Long> left = stream(0);
        KStream<String, Long> right = stream(1);
        StreamJoined<String, Long, Long> stores = StreamJoined.with(Serdes.String(), Serdes.Long(), Serdes.Long());
        JoinWindows windows = within("before", "after");
        return switch (shape.kind()) {
            case "inner" -> left.join(right, PAIR, windows, stores);
            case "left" -> left.leftJoin(right, PAIR, windows, stores);
            case "outer" -> left.outerJoin(right, PAIR, windows, stores);
            case "right" -> right.leftJoin(left, swapped(), within("after", "before"), stores);
            default -> throw noSuchKind();
        };
    }

    private KStream<String, JsonNode> streamTable() {
        KTable<String, Long> table = table(1);
        Joined<String, Long, Long> joined = Joined.with(Serdes.String(), Serdes.Long(), Serdes.Long());
        return switch (shape.kind()) {
            case "inner" -> stream(0).join(table, PAIR, joined);
            case "left" -> stream(0).leftJoin(table, PAIR, joined);
            default -> throw noSuchKind();
        };
    }

    private KStream<String, JsonNode> streamGlobalTable() {
        GlobalKTable<String, Long> table = builder.globalTable(SIDES.get(1), consumed());
        return switch (shape.kind()) {
            case "inner" -> stream(0).join(table, (key, value) -> foreignKey(value), PAIR);
            case "left" -> stream(0).leftJoin(table, (key, value) -> foreignKey(value), PAIR);
            default -> throw noSuchKind();
        };
    }

    private KTable<String, JsonNode> tableTable() {
        KTable<String, Long> left = table(0);
        KTable<String, Long> right = table(1);
        return switch (shape.kind()) {
            case "inner" -> left.join(right, PAIR);
            case "left" -> left.leftJoin(right, PAIR);
            case "outer" -> left.outerJoin(right, PAIR);
            case "right" -> right.leftJoin(left, swapped());
            default -> throw noSuchKind();
        };
    }

    private KStream<String, Long> stream(int side) {
        return builder.stream(SIDES.get(side), consumed());
    }

    private KTable<String, Long> table(int side) {
        return builder.table(SIDES.get(side), consumed(), Materialized.with(Serdes.String(), Serdes.Long()));
    }

    private KGroupedStream<String, Long> grouped() {
        return stream(0).groupByKey(Grouped.with(Serdes.String(), Serdes.Long()));
    }

    private static Consumed<String, Long> consumed() {
        return Consumed.with(Serdes.String(), Serdes.Long());
    }

    private static ValueJoiner<Long, Long, JsonNode> swapped() {
        return (right, left) -> PAIR.apply(left, right);
    }

    private JoinWindows within(String before, String after) {
        return JoinWindows.ofTimeDifferenceAndGrace(Duration.ZERO, shape.duration("grace"))
            .before(shape.duration(before)).after(shape.duration(after));
    }

    private EmitStrategy emit() {
        return shape.isFinal() ? EmitStrategy.onWindowClose() : EmitStrategy.onWindowUpdate();
    }

    private <S extends StateStore> Materialized<String, JsonNode, S> inStore() {
        Materialized<String, JsonNode, S> store = Materialized.with(Serdes.String(), Tally.SERDE);
        if (shape.has("retention")) {
            store.withRetention(shape.duration("retention"));
        }
        return store.withCachingDisabled();
    }

    private IllegalArgumentException noSuchKind() {
        return new IllegalArgumentException(shape.json() + ": no such kind of this join");
    }

    private void collectWindowed(KStream<Windowed<String>, JsonNode> stream) {
        stream.process(() -> new Collector<Windowed<String>>(key -> key.key(),
            key -> new Case.Window(key.window().start(), key.window().end()), results));
    }

    private void collect(KStream<String, JsonNode> stream) {
        stream.process(() -> new Collector<String>(key -> key, key -> null, results));
    }

    /** The last processor: hands on what reaches it. */
    private static final class Collector<K> extends ContextualProcessor<K, JsonNode, Void, Void> {
        private final Function<K, String> key;
        private final Function<K, Case.Window> window;
        private final Consumer<Case.Result> results;

        Collector(
            Function<K, String> key,
            Function<K, Case.Window> window,
            Consumer<Case.Result> results) {
            this.key = key;
            this.window = window;
            this.results = results;
        }

        @Override
        public void process(Record<K, JsonNode> record) {
            results.accept(new Case.Result(
                key.apply(record.key()), record.value(), record.timestamp(), window.apply(record.key())));
        }
    }
}
