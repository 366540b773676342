package tidemill.oracle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Files of cases and of goldens: groups of lines, each of a head and the cases that follow it.
 *
 * <pre>
 * {"shapes":[SHAPE, ...]}                              head in a file of cases: the cases are run through each shape
 * {"shape":SHAPE}                                      head in a file of goldens
 * {"name":NAME,"in":[[SIDE,KEY,VALUE,TIMESTAMP], ...]} a case; in goldens also with
 *    "out":[[[KEY,VALUE,TIMESTAMP], ...], ...]         what came of each record, with two members more where the
 *                                                      key is windowed: the window's start and end
 * </pre>
 */
final class Goldens {
    private Goldens() {}

    /** The goldens of a file of cases, or of goldens, whose results are then made anew. */
    static List<JsonNode> make(Runner runner, List<JsonNode> lines) {
        List<JsonNode> goldens = new ArrayList<>();
        for (int from = 0; from < lines.size();) {
            int to = from + 1;
            while (to < lines.size() && lines.get(to).has("in")) {
                to++;
            }
            List<Case> cases = lines.subList(from + 1, to).stream().map(Case::parse).toList();
            for (Shape shape : shapes(lines.get(from))) {
                goldens.add(head(shape));
                goldens.addAll(cases.parallelStream().map(one -> one.json(runner.run(shape, one))).toList());
            }
            from = to;
        }
        return goldens;
    }

    /** The generated cases of one operator. */
    static List<JsonNode> generate(List<Shape> shapes, long seed, int count) {
        List<JsonNode> lines = new ArrayList<>();
        for (int each = 0; each < shapes.size(); each++) {
            Shape shape = shapes.get(each);
            lines.add(head(shape));
            IntStream.range(count * each / shapes.size(), count * (each + 1) / shapes.size())
                .mapToObj(number -> Generator.sequence(shape, seed, number).json())
                .forEach(lines::add);
        }
        return lines;
    }

    /** Goldens without what came of their cases: every head is that of one shape. */
    static List<JsonNode> cases(List<JsonNode> goldens) {
        return goldens.stream().map(line -> line.has("in") ? Case.parse(line).json() : line).toList();
    }

    /** Every head, and every {@code step}th case. */
    static List<JsonNode> sample(List<JsonNode> lines, int step) {
        List<JsonNode> sample = new ArrayList<>();
        int number = 0;
        for (JsonNode line : lines) {
            if (!line.has("in") || number++ % step == 0) {
                sample.add(line);
            }
        }
        return sample;
    }

    /** Throws at the first line in which they differ. */
    static void requireEqual(Path file, List<JsonNode> expected, List<JsonNode> actual) {
        for (int line = 0; line < Math.max(expected.size(), actual.size()); line++) {
            // As text: a number that was read and one that was made are nodes of different classes.
            String one = line < expected.size() ? expected.get(line).toString() : "nothing";
            String two = line < actual.size() ? actual.get(line).toString() : "nothing";
            if (!one.equals(two)) {
                throw new IllegalStateException(
                    file + " is not what Kafka Streams makes of it now\n  golden: " + one + "\n  now:    " + two);
            }
        }
    }

    private static ObjectNode head(Shape shape) {
        ObjectNode head = JsonNodeFactory.instance.objectNode();
        head.set("shape", shape.json());
        return head;
    }

    private static List<Shape> shapes(JsonNode head) {
        List<Shape> shapes = new ArrayList<>();
        head.path("shapes").forEach(shape -> shapes.add(new Shape(shape)));
        if (head.has("shape")) {
            shapes.add(new Shape(head.get("shape")));
        }
        if (shapes.isEmpty()) {
            throw new IllegalArgumentException(head + ": a group begins with its shape or shapes");
        }
        return shapes;
    }
}
