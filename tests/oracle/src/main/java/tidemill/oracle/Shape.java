package tidemill.oracle;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * One topology: an operator and its parameters, as the head of a group of cases gives them, for example
 * {@code {"operator":"hopping","size":10,"advance":3,"grace":0,"emit":"update"}}. Times are milliseconds.
 */
record Shape(JsonNode json) {
    String operator() {
        return text("operator", null);
    }

    /** Of a join: {@code inner}, {@code left}, {@code right} or {@code outer}. */
    String kind() {
        return text("kind", null);
    }

    /** Whether results come when a window closes, and not at each update. */
    boolean isFinal() {
        return text("emit", "update").equals("final");
    }

    /** Whether the stores that Kafka Streams has by default are used, where memory would do as well. */
    boolean isOnDisk() {
        return text("stores", "memory").equals("disk");
    }

    long millis(String name) {
        JsonNode value = json.get(name);
        if (value == null || !value.isIntegralNumber()) {
            throw new IllegalArgumentException(json + ": '" + name + "' must be a number of milliseconds");
        }
        return value.longValue();
    }

    Duration duration(String name) {
        return Duration.ofMillis(millis(name));
    }

    boolean has(String name) {
        return json.has(name);
    }

    /** The distances at which something opens, closes or is forgotten: what generated timestamps gather around. */
    List<Long> spans() {
        Set<Long> spans = new TreeSet<>();
        long grace = has("grace") ? millis("grace") : 0;
        long window = 0;
        for (String name : List.of("size", "advance", "gap", "before", "after")) {
            if (has(name)) {
                spans.add(millis(name));
                spans.add(millis(name) + grace);
                window += name.equals("advance") ? 0 : millis(name);
            }
        }
        spans.add(window + grace);
        spans.add(2 * window + grace);
        spans.add(grace);
        spans.remove(0L);
        return spans.isEmpty() ? List.of(5L) : new ArrayList<>(spans);
    }

    private String text(String name, String otherwise) {
        JsonNode value = json.get(name);
        if (value == null && otherwise != null) {
            return otherwise;
        }
        if (value == null || !value.isTextual()) {
            throw new IllegalArgumentException(json + ": '" + name + "' must be a word");
        }
        return value.textValue();
    }
}
