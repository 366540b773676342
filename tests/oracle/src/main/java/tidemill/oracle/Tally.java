package tidemill.oracle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/**
 * The aggregate of every window: {@code [count, sum, [value, ...]]}. The count is of records, as {@code count()} has
 * it; the sum and the list, which shows what is in a window and in which order it came, leave null values out. A tally
 * is never changed in place: operators keep the old one beside the new.
 */
final class Tally {
    static final Serde<JsonNode> SERDE = Serdes.serdeFrom(
        (topic, tally) -> tally == null ? null : Lines.write(tally),
        (topic, bytes) -> bytes == null ? null : Lines.read(bytes));

    private Tally() {}

    static JsonNode empty() {
        return of(0, 0, JsonNodeFactory.instance.arrayNode());
    }

    static JsonNode add(String key, Long value, JsonNode tally) {
        ArrayNode values = JsonNodeFactory.instance.arrayNode();
        if (value != null) {
            values.add(value.longValue());
        }
        return merge(tally, of(1, value == null ? 0 : value, values));
    }

    static JsonNode merge(JsonNode one, JsonNode two) {
        ArrayNode values = one.get(2).deepCopy();
        values.addAll((ArrayNode) two.get(2));
        return of(
            one.get(0).longValue() + two.get(0).longValue(), one.get(1).longValue() + two.get(1).longValue(), values);
    }

    private static JsonNode of(long count, long sum, ArrayNode values) {
        return JsonNodeFactory.instance.arrayNode().add(count).add(sum).add(values);
    }
}
