package exchange;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** A broker process on a data directory. All of them listen on one port, so that clients live through a change. */
final class Server {
    private static final long PATIENCE_MS = 60_000;
    private static final String READY = "Kafka Server started";
    /** Who speaks of the files in Kafka's log, and in which words. */
    private static final List<String> OF_FILES = List.of("internals.log.", "LogManager", "RaftLog", "MetadataLog",
        "MetadataLoader", "FaultHandler", "CoordinatorRuntime", "TransactionStateManager", "orrupt", "stray", "napshot");

    /** Who runs on the directory. */
    enum Kind { MILENA, KAFKA }

    /** How the metadata quorum of a Kafka is named to it: by configuration, or in the metadata log itself. */
    enum Quorum { STATIC, DYNAMIC }

    private final Kind kind;
    private final Path log;
    private final Process process;

    private Server(Kind kind, Path log, Process process) {
        this.kind = kind;
        this.log = log;
        this.process = process;
    }

    Kind kind() {
        return kind;
    }

    /** A second data directory, where there is one. */
    static Path second(Path dir) {
        return Path.of(dir + "-second");
    }

    /** What both are told, so that time, which passes between two looks at them, changes nothing. */
    private static Map<String, String> settings(Path dir, int port) {
        Map<String, String> all = new LinkedHashMap<>();
        all.put("node.id", "1");
        Path second = second(dir);
        all.put("log.dirs", Files.exists(second) ? dir + "," + second : dir.toString());
        all.put("group.initial.rebalance.delay.ms", "0");
        all.put("log.retention.ms", "-1");
        all.put("log.cleaner.backoff.ms", "500");
        all.put("offsets.retention.minutes", "100000");
        all.put("offsets.topic.num.partitions", "4");
        all.put("transaction.state.log.num.partitions", "4");
        all.put("offsets.topic.replication.factor", "1");
        all.put("transaction.state.log.replication.factor", "1");
        all.put("transaction.state.log.min.isr", "1");
        // A snapshot in every turn, and no more log than since the last but one.
        all.put("metadata.log.max.record.bytes.between.snapshots", "1000");
        all.put("metadata.max.retention.bytes", "30000");
        all.put("listeners", "PLAINTEXT://127.0.0.1:" + port);
        return all;
    }

    private static Path configuration(Path dir, int port, Quorum quorum) throws IOException {
        String controller = "127.0.0.1:" + (port + 1);
        Map<String, String> all = settings(dir, port);
        all.put("process.roles", "broker,controller");
        all.put("listeners", "PLAINTEXT://127.0.0.1:" + port + ",CONTROLLER://" + controller);
        all.put("controller.listener.names", "CONTROLLER");
        if (quorum == Quorum.STATIC) {
            all.put("controller.quorum.voters", "1@" + controller);
        } else {
            all.put("controller.quorum.bootstrap.servers", controller);
        }
        all.put("share.coordinator.state.topic.replication.factor", "1");
        all.put("share.coordinator.state.topic.min.isr", "1");
        // One that was killed is still registered; its successor waits for the end of that session.
        all.put("broker.heartbeat.interval.ms", "300");
        all.put("broker.session.timeout.ms", "2000");
        List<String> lines = new ArrayList<>();
        all.forEach((key, value) -> lines.add(key + "=" + value));
        return Files.write(Path.of(dir + ".properties"), lines);
    }

    /** What `kafka-storage format` does, with the given options besides the configuration. */
    static void format(Path dir, int port, Quorum quorum, String... options) throws Exception {
        List<String> arguments = new ArrayList<>(List.of("format", "-t", "RXhjaGFuZ2VPZktpbmRzMQ", "-c",
            configuration(dir, port, quorum).toString()));
        arguments.addAll(List.of(options));
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        int code = kafka.tools.StorageTool.execute(arguments.toArray(String[]::new), new PrintStream(said));
        Check.that(code == 0, "format: " + said);
    }

    static Server milena(String binary, Path dir, int port, Quorum quorum) throws Exception {
        List<String> command = new ArrayList<>(List.of(binary));
        Map<String, String> all = settings(dir, port);
        if (quorum == Quorum.DYNAMIC) {
            all.put("controller.quorum.bootstrap.servers", "127.0.0.1:" + (port + 1));
        }
        all.forEach((key, value) -> command.addAll(List.of("--override", key + "=" + value)));
        return start(Kind.MILENA, dir, command);
    }

    static Server kafka(Path dir, int port, Quorum quorum) throws Exception {
        Path configuration = configuration(dir, port, quorum);
        // A short life: little heap, no optimizing compiler.
        List<String> command = List.of("java", "-Xms256M", "-Xmx512M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Xshare:auto", "-Dorg.slf4j.simpleLogger.defaultLogLevel=info", "-cp", System.getProperty("java.class.path"),
            "kafka.Kafka", configuration.toString());
        return start(Kind.KAFKA, dir, command);
    }

    private static Server start(Kind kind, Path dir, List<String> command) throws Exception {
        Path log = Files.createTempFile(dir.getParent(), kind.name().toLowerCase() + "-", ".log");
        Process process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile()).start();
        Server server = new Server(kind, log, process);
        Runtime.getRuntime().addShutdownHook(new Thread(process::destroyForcibly));
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (!server.said(READY)) {
            if (!process.isAlive() || System.currentTimeMillis() > end) {
                throw new IllegalStateException(kind + " did not start:\n" + server.lastLines());
            }
            process.waitFor(20, TimeUnit.MILLISECONDS);
        }
        return server;
    }

    private boolean said(String text) throws IOException {
        return Files.readString(log).contains(text);
    }

    String lastLines() throws IOException {
        List<String> lines = Files.readAllLines(log);
        return String.join("\n", lines.subList(Math.max(0, lines.size() - 30), lines.size()));
    }

    /** Lines that speak of something that should not be: a directory written right makes nobody complain. */
    List<String> complaints(boolean afterKill) throws IOException {
        return Files.readAllLines(log).stream().filter(kind == Kind.KAFKA ? Server::kafkaComplains : Server::milenaComplains)
            // milena keeps the index of a growing segment in memory; Kafka says so aloud when it makes it anew.
            .filter(line -> !(afterKill && line.contains("Could not find offset index file"))).toList();
    }

    private static boolean milenaComplains(String line) {
        return line.contains(" ERROR ") || line.contains("panicked");
    }

    private static boolean kafkaComplains(String line) {
        boolean loud = line.contains(" ERROR ") || line.contains(" FATAL ") || line.contains("orrupt") || line.contains("stray");
        // A lead that it gives up and takes again while it starts stops it from loading twice.
        return loud && OF_FILES.stream().anyMatch(line::contains) && !line.contains("Stopped loading records from");
    }

    /** SIGTERM, and the exit that an operator waits for. */
    void stop() throws Exception {
        process.destroy();
        Check.that(process.waitFor(PATIENCE_MS, TimeUnit.MILLISECONDS), kind + " does not stop:\n" + lastLines());
    }

    /** SIGKILL. */
    void kill() throws Exception {
        process.destroyForcibly().waitFor();
    }
}
