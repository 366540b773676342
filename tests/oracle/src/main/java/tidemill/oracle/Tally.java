package tidemill.oracle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/**
 * The aggregate of every window: {@code [count, sum, [value, ...]]}. The count is of records, as {@code count()} has
 * it; the sum (null while there is none) and the list, which shows what is in a window and in which order it came,
 * leave null values out. A tally is never changed in place: operators keep the old one beside the new.
 */
final class Tally {
    static final Serde<JsonNode> SERDE = Serdes.serdeFrom(
        (topic, tally) -> tally == null ? null : Lines.write(tally),
        (topic, bytes) -> bytes == null ? null : Lines.read(bytes));

    private Tally() {}

    static JsonNode empty() {
        return JsonNodeFactory.instance.arrayNode().add(0L).addNull().add(JsonNodeFactory.instance.arrayNode());
    }

    static JsonNode add(String key, Long value, JsonNode tally) {
        ArrayNode one = JsonNodeFactory.instance.arrayNode().add(1L);
        if (value == null) {
            one.addNull().addArray();
        } else {
            one.add(value.longValue()).addArray().add(value.longValue());
        }
        return merge(tally, one);
    }

    static JsonNode merge(JsonNode one, JsonNode two) {
        ArrayNode values = one.get(2).deepCopy();
        values.addAll((ArrayNode) two.get(2));
        ArrayNode merged = JsonNodeFactory.instance.arrayNode().add(one.get(0).longValue() + two.get(0).longValue());
        if (values.isEmpty()) {
            merged.addNull();
        } else {
            merged.add(one.get(1).asLong() + two.get(1).asLong());
        }
        return merged.add(values);
    }
}
