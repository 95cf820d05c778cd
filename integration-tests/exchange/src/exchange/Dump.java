package exchange;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Apache Kafka's {@code DumpLogSegments} over every file of a data directory. The tool exits 0 whatever it finds, so a line
 * that is not one of those which a sound file gives is a complaint.
 */
final class Dump {
    /** What the owner of the directory does or did: it decides what may lie behind the last batch of a log. */
    enum State { STOPPED, RUNNING, KILLED }

    /** Partitions of which records are missing by right. */
    private static final Pattern COMPACTED =
        Pattern.compile("(compacted|__consumer_offsets|__transaction_state|__share_group_state)-.*");
    private static final Pattern FILES = Pattern.compile(".*\\.(log|index|timeindex|txnindex|snapshot|checkpoint)");
    private static final Pattern BATCH = Pattern.compile("baseOffset: (\\d+) lastOffset: (\\d+) count: -?\\d+ .* position: (\\d+) "
        + ".* size: (\\d+) .*isvalid: true");
    private static final Pattern TRAILING = Pattern.compile("Found (\\d+) invalid bytes at the end of (.*)\\.log");
    private static final Pattern GAPS = Pattern.compile("Non-consecutive offsets in (.*)");
    private static final Pattern SOUND = Pattern.compile(String.join("|",
        "Log starting offset: \\d+",
        "Snapshot end offset: \\d+, epoch: \\d+",
        "KRaft bootstrap snapshot",
        "\\| offset: \\d+ .*",
        "offset: \\d+ position: \\d+",
        "timestamp: -?\\d+ offset: \\d+",
        "producerId: \\d+ producerEpoch: \\d+ .*",
        "version: \\d+ producerId: \\d+ firstOffset: .*",
        ".* is empty\\.",
        ".* passed sanity check\\."));

    private final Path dir;
    private final State state;
    private int files;

    private Dump(Path dir, State state) {
        this.dir = dir;
        this.state = state;
    }

    /** Looks at all of it; how many files that were. */
    static int check(Path dir, State state) throws Exception {
        Dump dump = new Dump(dir, state);
        Map<Path, List<Path>> byFolder = new TreeMap<>();
        try (Stream<Path> all = Files.walk(dir)) {
            all.filter(path -> FILES.matcher(path.getFileName().toString()).matches() && Files.isRegularFile(path))
                .sorted(Comparator.comparing(Path::toString))
                .forEach(path -> byFolder.computeIfAbsent(path.getParent(), any -> new ArrayList<>()).add(path));
        }
        for (Map.Entry<Path, List<Path>> folder : byFolder.entrySet()) {
            dump.folder(folder.getKey(), folder.getValue());
        }
        Check.that(dump.files > 0, "nothing to dump in " + dir);
        return dump.files;
    }

    private void folder(Path folder, List<Path> paths) throws Exception {
        String name = folder.getFileName().toString();
        if (name.endsWith("-delete")) {
            return;
        }
        List<String> options = new ArrayList<>(List.of("--deep-iteration"));
        if (name.startsWith("__cluster_metadata-") || folder.equals(dir)) {
            options.add("--cluster-metadata-decoder");
        } else if (name.startsWith("__consumer_offsets-")) {
            options.add("--offsets-decoder");
        } else if (name.startsWith("__transaction_state-")) {
            options.add("--transaction-log-decoder");
        } else if (name.startsWith("__share_group_state-")) {
            options.add("--share-group-state-decoder");
        }
        paths = paths.stream().filter(path -> !folder.equals(dir) || path.endsWith("bootstrap.checkpoint")).toList();
        if (paths.isEmpty()) {
            return;
        }
        files += paths.size();
        judge(folder, dump(options, paths));
        List<Path> indexes = paths.stream().filter(path -> path.toString().endsWith("index") && !path.toString().endsWith("txnindex")).toList();
        if (!indexes.isEmpty()) {
            judge(folder, dump(List.of("--index-sanity-check"), indexes));
        }
    }

    private static List<String> dump(List<String> options, List<Path> paths) throws Exception {
        List<String> arguments = new ArrayList<>(options);
        arguments.add("--files");
        arguments.add(String.join(",", paths.stream().map(Path::toString).toList()));
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        PrintStream all = new PrintStream(bytes, true, StandardCharsets.UTF_8);
        PrintStream out = System.out;
        PrintStream err = System.err;
        System.setOut(all);
        System.setErr(all);
        try {
            scala.Console.withOut(all, () -> scala.Console.withErr(all, () -> {
                kafka.tools.DumpLogSegments.main(arguments.toArray(String[]::new));
                return null;
            }));
        } catch (Exception thrown) {
            all.println("thrown: " + thrown);
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
        return bytes.toString(StandardCharsets.UTF_8).lines().toList();
    }

    private void judge(Path folder, List<String> lines) {
        boolean mayHaveGaps = COMPACTED.matcher(folder.getFileName().toString()).matches();
        String newest = null;
        String current = "";
        long next = -1;
        long ofLog = -1;
        long position = 0;
        boolean inGaps = false;
        for (String line : lines) {
            if (line.startsWith("Dumping ") && line.endsWith(".log")) {
                newest = line.substring("Dumping ".length(), line.length() - ".log".length());
            }
        }
        for (String line : lines) {
            Matcher batch = BATCH.matcher(line);
            Matcher trailing = TRAILING.matcher(line);
            Matcher gaps = GAPS.matcher(line);
            String complaint = null;
            if (line.startsWith("Dumping ")) {
                current = line.substring("Dumping ".length());
                inGaps = false;
                position = 0;
                // Offsets go on from one segment of a log to the next; those of a snapshot are its own.
                next = current.endsWith(".log") ? ofLog : -1;
            } else if (batch.matches()) {
                long base = Long.parseLong(batch.group(1));
                boolean follows = next < 0 || (mayHaveGaps ? base >= next : base == next);
                complaint = follows && position == Long.parseLong(batch.group(3)) ? null : "not behind the batch before it";
                next = Long.parseLong(batch.group(2)) + 1;
                position += Long.parseLong(batch.group(4));
                ofLog = current.endsWith(".log") ? next : ofLog;
            } else if (trailing.matches()) {
                // Reserved and not written yet; only a process that runs or died leaves it, behind its last batch.
                boolean live = state != State.STOPPED && newest.endsWith("/" + trailing.group(2));
                complaint = live ? null : "bytes behind the last batch";
            } else if (gaps.matches()) {
                inGaps = true;
                complaint = mayHaveGaps ? null : "a gap";
            } else if (!(inGaps && line.contains("is followed by")) && !SOUND.matcher(line).matches()) {
                complaint = "a complaint";
            }
            Check.that(complaint == null, "DumpLogSegments of " + new File(current).toPath() + ": " + complaint + ": " + line);
        }
    }
}
