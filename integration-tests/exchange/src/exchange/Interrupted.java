package exchange;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.stream.Stream;

/**
 * Directories as a death leaves them in the middle of a compaction, while cleaned segments take the place of old ones. The
 * cleaned segment is the first one of a partition as it is: what clients see must not change, whichever of the two counts.
 */
final class Interrupted {
    private static final List<String> KINDS = List.of("log", "index", "timeindex");

    private Interrupted() {
    }

    /** Brings some partitions of a broker that was killed into such states, each into another. */
    static void compactions(Path dir) throws IOException {
        // Written, but not complete.
        suffixed(dir.resolve("big-0"), KINDS, ".cleaned");
        // About to take over: its log file has its name first.
        suffixed(dir.resolve("rolled-0"), List.of("log"), ".swap");
        suffixed(dir.resolve("rolled-0"), KINDS.subList(1, 3), ".cleaned");
        // It counts; the old one is there.
        suffixed(dir.resolve("rolled-1"), KINDS, ".swap");
        // It counts; the old one has gone.
        suffixed(dir.resolve("compacted-0"), KINDS, ".swap");
        deleted(dir.resolve("compacted-0"), KINDS);
    }

    /** Nothing of it is left. */
    static void check(Path dir) throws IOException {
        try (Stream<Path> all = Files.walk(dir)) {
            List<Path> left = all.filter(path -> path.toString().matches(".*\\.(cleaned|swap)")).toList();
            Check.that(left.isEmpty(), "left of interrupted compactions: " + left);
        }
    }

    /** The name of the files of the first segment, which must not be the one that grows. */
    private static String first(Path partition) throws IOException {
        try (Stream<Path> all = Files.list(partition)) {
            List<String> logs = all.map(path -> path.getFileName().toString()).filter(name -> name.endsWith(".log")).sorted().toList();
            Check.that(logs.size() > 1, partition + " needs a segment that does not grow: " + logs);
            return logs.get(0).substring(0, logs.get(0).length() - "log".length());
        }
    }

    private static void suffixed(Path partition, List<String> kinds, String suffix) throws IOException {
        String name = first(partition);
        for (String kind : kinds) {
            Files.copy(partition.resolve(name + kind), partition.resolve(name + kind + suffix));
        }
    }

    private static void deleted(Path partition, List<String> kinds) throws IOException {
        String name = first(partition);
        for (String kind : kinds) {
            Path to = partition.resolve(name + kind + ".deleted");
            Files.move(partition.resolve(name + kind), to, StandardCopyOption.REPLACE_EXISTING);
        }
    }
}
