package tidemill.oracle;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.github.luben.zstd.Zstd;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/** Files of JSON lines; those whose name ends in {@code .zst} are compressed. */
final class Lines {
    private static final ObjectMapper JSON =
        JsonMapper.builder().enable(DeserializationFeature.USE_LONG_FOR_INTS).build();
    private static final int LEVEL = 19;

    private Lines() {}

    static JsonNode read(byte[] json) {
        try {
            return JSON.readTree(json);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    static byte[] write(JsonNode json) {
        try {
            return JSON.writeValueAsBytes(json);
        } catch (JsonProcessingException error) {
            throw new UncheckedIOException(error);
        }
    }

    static String text(Path file) {
        try {
            byte[] bytes = Files.readAllBytes(file);
            if (isCompressed(file)) {
                bytes = Zstd.decompress(bytes, Math.toIntExact(Zstd.getFrameContentSize(bytes)));
            }
            return new String(bytes, StandardCharsets.UTF_8);
        } catch (IOException error) {
            throw new UncheckedIOException(file + " cannot be read", error);
        }
    }

    /** Blank lines, and lines that begin with {@code //}, are for people. */
    static List<JsonNode> read(Path file) {
        return text(file).lines().filter(line -> !line.isBlank() && !line.startsWith("//"))
            .map(line -> read(line.getBytes(StandardCharsets.UTF_8))).toList();
    }

    static void write(Path file, List<? extends JsonNode> lines) {
        byte[] bytes = lines.stream().map(line -> line + "\n").collect(Collectors.joining())
            .getBytes(StandardCharsets.UTF_8);
        try {
            Files.createDirectories(file.toAbsolutePath().getParent());
            Files.write(file, isCompressed(file) ? Zstd.compress(bytes, LEVEL) : bytes);
        } catch (IOException error) {
            throw new UncheckedIOException(file + " cannot be written", error);
        }
    }

    private static boolean isCompressed(Path file) {
        return file.toString().endsWith(".zst");
    }
}
