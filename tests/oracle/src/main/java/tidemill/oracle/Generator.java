package tidemill.oracle;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/**
 * Sequences of records for each operator, told by a seed. Keys are few, and one is the beginning of another; timestamps
 * repeat, creep, jump, and go back around the borders of windows and grace; values are told apart by where they stand
 * in the sequence, and some are null.
 */
final class Generator {
    private static final List<String> KEYS = List.of("a", "ab", "b");
    private static final Set<String> WITH_TABLES = Set.of("stream-table", "stream-globaltable", "table-table");
    private static final int RECORDS_MIN = 5;
    private static final int RECORDS_MAX = 25;
    /** Long enough that what a window needs is never gone: hourly, as Tidemill's own least retention. */
    private static final long RETENTION = 3_600_000;

    private final Shape shape;
    private final Random random;
    private final List<Long> spans;
    private final List<String> keys;
    private long streamTime;

    private Generator(Shape shape, long seed) {
        this.shape = shape;
        this.random = new Random(seed);
        this.spans = shape.spans();
        this.keys = KEYS.subList(0, 1 + random.nextInt(KEYS.size()));
        this.streamTime = random.nextInt(40);
    }

    /** The sequence with this number. Neighbouring seeds and numbers have nothing in common. */
    static Case sequence(Shape shape, long seed, int number) {
        long mixed = (seed * 31 + shape.json().toString().hashCode()) * 0x9E3779B97F4A7C15L + number;
        return new Generator(shape, mixed * 0xBF58476D1CE4E5B9L).sequence(String.valueOf(number));
    }

    private Case sequence(String name) {
        // Short ones more often: they are easier to read when they differ.
        int spread = RECORDS_MAX - RECORDS_MIN + 1;
        int count = RECORDS_MIN + Math.min(random.nextInt(spread), random.nextInt(spread));
        List<Case.Arrival> arrivals = new ArrayList<>();
        for (long value = 1; value <= count; value++) {
            boolean isNull = chance(WITH_TABLES.contains(shape.operator()) ? 20 : 7);
            arrivals.add(new Case.Arrival(
                side(), chance(3) ? null : keys.get(random.nextInt(keys.size())), isNull ? null : value, timestamp()));
        }
        return new Case(name, arrivals);
    }

    private int side() {
        return shape.has("kind") ? random.nextInt(2) : 0;
    }

    private long timestamp() {
        long span = spans.get(random.nextInt(spans.size()));
        long near = random.nextInt(3) - 1;
        long timestamp = switch (random.nextInt(10)) {
            case 0, 1 -> streamTime;
            case 2, 3, 4 -> streamTime + random.nextInt(4);
            case 5 -> (streamTime / span + 1) * span + near;
            case 6 -> streamTime + span + near;
            case 7, 8 -> streamTime - span + near;
            default -> streamTime - random.nextLong(3 * span + 1);
        };
        timestamp = Math.max(0, timestamp);
        streamTime = Math.max(streamTime, timestamp);
        return timestamp;
    }

    private boolean chance(int percent) {
        return random.nextInt(100) < percent;
    }

    /** The generated goldens by name: the shapes of each, among which its sequences are divided. */
    static Map<String, List<Shape>> operators() {
        Map<String, List<Shape>> operators = new LinkedHashMap<>();
        for (boolean isFinal : new boolean[] {false, true}) {
            String suffix = isFinal ? "-final" : "";
            operators.put("tumbling" + suffix, windows(isFinal, "tumbling", "size", List.of(
                new long[] {10, 0}, new long[] {10, 7})));
            operators.put("hopping" + suffix, windows(isFinal, "hopping", "size", List.of(
                new long[] {10, 0, 3}, new long[] {10, 7, 3}, new long[] {12, 4, 4}, new long[] {9, 0, 6})));
            operators.put("sliding" + suffix, windows(isFinal, "sliding", "size", List.of(
                new long[] {10, 0}, new long[] {10, 7}, new long[] {4, 25})));
            operators.put("session" + suffix, windows(isFinal, "session", "gap", List.of(
                new long[] {5, 0}, new long[] {5, 8})));
        }
        operators.put("stream", List.of(shape("stream")));
        for (String kind : List.of("inner", "left", "right", "outer")) {
            operators.put("stream-stream-" + kind, List.of(
                within(kind, 5, 5, 0), within(kind, 5, 5, 7), within(kind, 3, 8, 0), within(kind, 9, 2, 6),
                within(kind, 0, 6, 4)));
            operators.put("table-table-" + kind, List.of(join("table-table", kind)));
        }
        for (String kind : List.of("inner", "left")) {
            operators.put("stream-table-" + kind, List.of(join("stream-table", kind)));
            operators.put("stream-globaltable-" + kind, List.of(join("stream-globaltable", kind)));
        }
        return operators;
    }

    /** Each of {@code parameters}: size, grace and, where it has a third, advance. */
    private static List<Shape> windows(boolean isFinal, String operator, String size, List<long[]> parameters) {
        return parameters.stream().map(each -> {
            ObjectNode json = shapeJson(operator).put(size, each[0]);
            if (each.length > 2) {
                json.put("advance", each[2]);
            }
            json.put("grace", each[1]).put("emit", isFinal ? "final" : "update");
            // A session's retention decides which old sessions a record still finds; the default is what we follow.
            if (!operator.equals("session")) {
                json.put("retention", RETENTION);
            }
            return new Shape(json);
        }).toList();
    }

    private static Shape within(String kind, long before, long after, long grace) {
        return new Shape(((ObjectNode) join("stream-stream", kind).json())
            .put("before", before).put("after", after).put("grace", grace));
    }

    private static Shape join(String operator, String kind) {
        return new Shape(shapeJson(operator).put("kind", kind));
    }

    private static Shape shape(String operator) {
        return new Shape(shapeJson(operator));
    }

    private static ObjectNode shapeJson(String operator) {
        return JsonNodeFactory.instance.objectNode().put("operator", operator);
    }
}
