package tidemill.oracle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;

/** The records that enter one topology, in the order of their arrival. */
record Case(String name, List<Arrival> arrivals) {
    /** A record that enters: on side 0 (a stream, or what is on the left) or 1; key and value may be null. */
    record Arrival(int side, String key, Long value, long timestamp) {
        static Arrival parse(JsonNode json) {
            if (!json.isArray() || json.size() != 4) {
                throw new IllegalArgumentException(json + ": a record is [side, key, value, timestamp]");
            }
            return new Arrival(
                json.get(0).intValue(),
                json.get(1).textValue(),
                json.get(2).isNull() ? null : (Long) json.get(2).longValue(),
                json.get(3).longValue());
        }

        JsonNode json() {
            return array().add(side).add(key).add(value).add(timestamp);
        }
    }

    /** A record that leaves; {@code window} is null where the key has none. */
    record Result(String key, JsonNode value, long timestamp, Window window) {
        JsonNode json() {
            ArrayNode json = array().add(key).add(value).add(timestamp);
            return window == null ? json : json.add(window.start).add(window.end);
        }
    }

    /** The ends of a window as its operator gives them: whether they are inclusive is the operator's matter. */
    record Window(long start, long end) {}

    static Case parse(JsonNode json) {
        List<Arrival> arrivals = new ArrayList<>();
        json.path("in").forEach(arrival -> arrivals.add(Arrival.parse(arrival)));
        if (arrivals.isEmpty()) {
            throw new IllegalArgumentException(json + ": a case has records in \"in\"");
        }
        return new Case(json.path("name").asText(), arrivals);
    }

    ObjectNode json() {
        ObjectNode json = JsonNodeFactory.instance.objectNode().put("name", name);
        ArrayNode in = json.putArray("in");
        arrivals.forEach(arrival -> in.add(arrival.json()));
        return json;
    }

    /** The case with what came of each of its records: a golden line. */
    ObjectNode json(List<List<Result>> results) {
        ObjectNode json = json();
        ArrayNode out = json.putArray("out");
        for (List<Result> ofOne : results) {
            ArrayNode each = out.addArray();
            ofOne.forEach(result -> each.add(result.json()));
        }
        return json;
    }

    private static ArrayNode array() {
        return JsonNodeFactory.instance.arrayNode();
    }
}
