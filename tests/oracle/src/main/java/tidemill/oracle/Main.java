package tidemill.oracle;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** See {@link #USAGE}; tests/oracle/regenerate is what calls it. */
public final class Main {
    private static final String USAGE = """
        usage: generate SEED COUNT DIR     write COUNT generated cases of each operator to DIR/OPERATOR.jsonl
               run CASES GOLDENS ENDING    run the cases in folder CASES, write what comes of them in folder GOLDENS,
                                           in files of the same names with this ENDING: .jsonl, or .jsonl.zst
               check SEED STEP STORES DIR...
                                           compare all goldens in the folders: the generated cases with those that
                                           SEED generates now, and what comes of every STEPth of them, and of the
                                           others, with what comes of them now; STORES is memory, or disk: all stores
                                           as Kafka Streams has them by default
               print GOLDENS               the goldens as text
        """;

    private static final String GENERATED = ".jsonl.zst";

    private Main() {}

    public static void main(String[] arguments) throws IOException {
        List<String> words = new ArrayList<>(List.of(arguments));
        Collections.addAll(words, "", "", "", "");
        switch (words.get(0)) {
            case "generate" ->
                generate(Long.parseLong(words.get(1)), Integer.parseInt(words.get(2)), Path.of(words.get(3)));
            case "run" -> {
                List<Path> cases = files(List.of(words.get(1)));
                Path goldens = Path.of(words.get(2));
                withRunner(false, runner -> cases.forEach(file -> Lines.write(
                    goldens.resolve(file.getFileName().toString().replace(".jsonl", words.get(3))),
                    Goldens.make(runner, Lines.read(file)))));
            }
            case "check" -> {
                List<Path> goldens = files(List.of(arguments).subList(4, arguments.length));
                long seed = Long.parseLong(words.get(1));
                int step = Integer.parseInt(words.get(2));
                withRunner(words.get(3).equals("disk"),
                    runner -> goldens.forEach(file -> check(runner, file, seed, step)));
            }
            case "print" -> System.out.print(Lines.text(Path.of(words.get(1))));
            default -> {
                System.err.print(USAGE);
                System.exit(2);
            }
        }
    }

    private static void generate(long seed, int count, Path dir) {
        Generator.operators().forEach((name, shapes) ->
            Lines.write(dir.resolve(name + ".jsonl"), Goldens.generate(shapes, seed, count)));
    }

    private static void check(Runner runner, Path file, long seed, int step) {
        List<JsonNode> goldens = Lines.read(file);
        List<Shape> generated = Generator.operators().get(file.getFileName().toString().replace(GENERATED, ""));
        if (file.toString().endsWith(GENERATED) && generated != null) {
            List<JsonNode> cases = Goldens.cases(goldens);
            int count = cases.size() - generated.size();
            Goldens.requireEqual(file, cases, Goldens.generate(generated, seed, count));
            goldens = Goldens.sample(goldens, step);
        }
        Goldens.requireEqual(file, goldens, Goldens.make(runner, goldens));
    }

    private static List<Path> files(List<String> dirs) throws IOException {
        List<Path> files = new ArrayList<>();
        for (String dir : dirs) {
            try (Stream<Path> all = Files.list(Path.of(dir))) {
                all.filter(file -> file.toString().contains(".jsonl")).sorted().forEach(files::add);
            }
        }
        if (files.isEmpty()) {
            throw new IllegalArgumentException("nothing in " + dirs);
        }
        return files;
    }

    private interface Work {
        void accept(Runner runner);
    }

    /** With a folder for the stores that need one, which is gone afterwards. */
    private static void withRunner(boolean onDisk, Work work) throws IOException {
        Path dir = Files.createTempDirectory("oracle");
        try {
            work.accept(new Runner(dir, onDisk));
        } finally {
            try (Stream<Path> all = Files.walk(dir)) {
                all.sorted(Comparator.reverseOrder()).forEach(Main::delete);
            }
        }
    }

    private static void delete(Path path) {
        try {
            Files.delete(path);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
