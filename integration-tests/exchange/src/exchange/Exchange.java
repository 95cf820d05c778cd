package exchange;

import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.StreamSupport;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.config.ConfigResource;

/**
 * milena and Apache Kafka take turns on one data directory, stopped or killed in between: {@code Exchange BINARY FOLDER PORT}.
 * What clients see must not change by it, and {@code DumpLogSegments} must find nothing wrong at any time.
 * {@code Exchange dump DIR} looks at the directory of a broker that was killed, and at nothing else.
 */
public final class Exchange {
    private final String binary;
    private final Path dir;
    private final int port;
    private final Server.Quorum quorum;
    private final Map<String, List<String>> seen = new TreeMap<>();
    private Ledger ledger;
    private int turn;
    /** Whether the last turn ended with a kill. */
    private boolean killed;

    private Exchange(String binary, Path dir, int port, Server.Quorum quorum) {
        this.binary = binary;
        this.dir = dir;
        this.port = port;
        this.quorum = quorum;
    }

    public static void main(String[] args) throws Exception {
        long began = System.nanoTime();
        Path folder = Path.of(args[1]);
        if (args[0].equals("dump")) {
            System.out.println(Dump.check(folder, Dump.State.KILLED) + " files");
            return;
        }
        int port = Integer.parseInt(args[2]);
        List<String> chosen = List.of(args).subList(3, args.length);
        try {
            if (chosen.isEmpty() || chosen.contains("ours")) {
                new Exchange(args[0], folder.resolve("ours"), port, Server.Quorum.STATIC).ours();
            }
            if (chosen.isEmpty() || chosen.contains("static")) {
                new Exchange(args[0], folder.resolve("static"), port + 2, Server.Quorum.STATIC).theirs();
            }
            if (chosen.isEmpty() || chosen.contains("dynamic")) {
                new Exchange(args[0], folder.resolve("dynamic"), port + 4, Server.Quorum.DYNAMIC).upgraded();
            }
            if (chosen.isEmpty() || chosen.contains("standalone")) {
                new Exchange(args[0], folder.resolve("standalone"), port + 6, Server.Quorum.DYNAMIC).standalone();
            }
            if (chosen.isEmpty() || chosen.contains("interrupted")) {
                new Exchange(args[0], folder.resolve("interrupted"), port + 8, Server.Quorum.STATIC).interrupted();
            }
            if (chosen.isEmpty() || chosen.contains("moving")) {
                new Exchange(args[0], folder.resolve("moving"), port + 10, Server.Quorum.STATIC).moving();
            }
        } catch (Throwable failed) {
            failed.printStackTrace();
            System.exit(1);
        }
        System.out.printf("exchange: everything passed in %d s%n", (System.nanoTime() - began) / 1_000_000_000L);
        System.exit(0);
    }

    /** A directory that milena made. */
    private void ours() throws Exception {
        turn(Server.Kind.MILENA, false);
        turn(Server.Kind.KAFKA, false);
        turn(Server.Kind.MILENA, true);
        turn(Server.Kind.KAFKA, true);
        turn(Server.Kind.MILENA, true);
        turn(Server.Kind.MILENA, false);
    }

    /** A directory that Kafka made, its quorum in the configuration. */
    private void theirs() throws Exception {
        Server.format(dir, port, quorum);
        turn(Server.Kind.KAFKA, true);
        turn(Server.Kind.MILENA, false);
        turn(Server.Kind.KAFKA, false);
        turn(Server.Kind.MILENA, true);
    }

    /** One of a Kafka 4.0 with its quorum in the metadata log, whose features were raised to those of 4.1. */
    private void upgraded() throws Exception {
        Server.format(dir, port, quorum, "--standalone", "--release-version", "4.0-IV3");
        turn(Server.Kind.KAFKA, false, this::raiseFeatures);
        turn(Server.Kind.MILENA, true);
        turn(Server.Kind.KAFKA, true);
        turn(Server.Kind.MILENA, false);
    }

    /** One that milena made with its quorum in the metadata log, as Kafka's own server.properties wants it. */
    private void standalone() throws Exception {
        turn(Server.Kind.MILENA, true);
        turn(Server.Kind.KAFKA, false);
        turn(Server.Kind.MILENA, false);
    }

    /** One whose broker died while cleaned segments took the place of old ones: either goes on with what it finds. */
    private void interrupted() throws Exception {
        turn(Server.Kind.MILENA, true);
        Interrupted.compactions(dir);
        turn(Server.Kind.KAFKA, false);
        Interrupted.check(dir);
        turn(Server.Kind.MILENA, true);
        Interrupted.compactions(dir);
        turn(Server.Kind.MILENA, false);
        Interrupted.check(dir);
    }

    /** One whose broker died while a partition moved between its two data directories: the other ends the move. */
    private void moving() throws Exception {
        Path second = Server.second(dir);
        Files.createDirectories(second);
        turn(Server.Kind.MILENA, false);
        for (Server.Kind kind : Server.Kind.values()) {
            Path from = Files.exists(dir.resolve("big-0")) ? dir : second;
            Path to = from.equals(dir) ? second : dir;
            turn(kind, true, () -> move(to));
            Check.that(Files.exists(from.resolve("big-0")) && copies(to) == 1, "the copy is under way when " + kind + " is killed");
            turn(kind == Server.Kind.KAFKA ? Server.Kind.MILENA : Server.Kind.KAFKA, false, () -> awaitMoved(to));
            Check.that(Files.exists(to.resolve("big-0")) && copies(to) == 0, "the copy took its place");
        }
    }

    private static long copies(Path directory) throws Exception {
        try (DirectoryStream<Path> all = Files.newDirectoryStream(directory, "big-0.*-future")) {
            return StreamSupport.stream(all.spliterator(), false).count();
        }
    }

    /** Sets how fast partitions move, or takes that back. */
    private static void limit(Admin admin, AlterConfigOp.OpType type) throws Exception {
        ConfigEntry slow = new ConfigEntry("replica.alter.log.dirs.io.max.bytes.per.second", "1");
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.BROKER, "1"),
            List.of(new AlterConfigOp(slow, type)))).all().get();
    }

    /** Begins a move that is still under way when the broker is killed. */
    private void move(Path to) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", "127.0.0.1:" + port))) {
            limit(admin, AlterConfigOp.OpType.SET);
            admin.alterReplicaLogDirs(Map.of(new TopicPartitionReplica("big", 0, 1), to.toString())).all().get();
        }
    }

    private void awaitMoved(Path to) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", "127.0.0.1:" + port))) {
            limit(admin, AlterConfigOp.OpType.DELETE);
            TopicPartitionReplica replica = new TopicPartitionReplica("big", 0, 1);
            long end = System.currentTimeMillis() + 60_000;
            while (true) {
                var found = admin.describeReplicaLogDirs(List.of(replica)).all().get().get(replica);
                if (to.toString().equals(found.getCurrentReplicaLogDir()) && found.getFutureReplicaLogDir() == null) {
                    return;
                }
                Check.that(System.currentTimeMillis() < end, "the move does not end: " + found);
                Thread.sleep(50);
            }
        }
    }

    private interface Step {
        void run() throws Exception;
    }

    private void turn(Server.Kind kind, boolean kill) throws Exception {
        turn(kind, kill, () -> { });
    }

    private void turn(Server.Kind kind, boolean kill, Step more) throws Exception {
        long began = System.nanoTime();
        FileTime before = Files.exists(dir.resolve("__cluster_metadata-0")) ? newestSnapshot() : FileTime.fromMillis(0);
        Server server = kind == Server.Kind.KAFKA ? Server.kafka(dir, port, quorum) : Server.milena(binary, dir, port, quorum);
        double started = (System.nanoTime() - began) / 1e9;
        try {
            compare(Describe.broker(port));
            if (ledger != null) {
                ledger.verify();
            }
            more.run();
            Work.on(port, turn, !kill);
            if (ledger == null) {
                ledger = new Ledger(port);
            }
            ledger.send(2000, 500);
            int files = 0;
            if (kind == Server.Kind.MILENA) {
                awaitSnapshot(before);
                files += Dump.check(dir, Dump.State.RUNNING);
            }
            remember(Describe.broker(port));
            if (kill) {
                ledger.send(4000, 1000);
                server.kill();
            } else {
                ledger.send(2000, 2000);
                server.stop();
            }
            if (kind == Server.Kind.MILENA || !kill) {
                // The index files of a Kafka that was killed have zeros at their ends.
                files += Dump.check(dir, kill ? Dump.State.KILLED : Dump.State.STOPPED);
            }
            List<String> complaints = server.complaints(killed);
            Check.that(complaints.isEmpty(), "it complains: " + String.join("\n", complaints));
            System.out.printf("%-8s turn %d: %-6s %-7s %3d topics, %6d records, ledger %5d, %4d files dumped; started in %.1f s, took %.1f s%n",
                dir.getFileName(), turn, kind.name().toLowerCase(), kill ? "killed" : "stopped",
                seen.get("topics").stream().filter(line -> !line.contains(" leader ")).count(), seen.get("records").size(),
                ledger.size(), files, started, (System.nanoTime() - began) / 1e9);
        } catch (Exception failed) {
            server.kill();
            throw new IllegalStateException(dir.getFileName() + ", turn " + turn + " by " + kind + "; its last lines:\n" + server.lastLines(), failed);
        }
        killed = kill;
        turn++;
    }

    /** When the newest snapshot of the metadata was written, 1970 for none. */
    private FileTime newestSnapshot() throws Exception {
        FileTime newest = FileTime.fromMillis(0);
        try (DirectoryStream<Path> all = Files.newDirectoryStream(dir.resolve("__cluster_metadata-0"), "*.checkpoint")) {
            for (Path path : all) {
                FileTime written = Files.getLastModifiedTime(path);
                newest = written.compareTo(newest) > 0 ? written : newest;
            }
        }
        return newest;
    }

    private void awaitSnapshot(FileTime before) throws Exception {
        long end = System.currentTimeMillis() + 20_000;
        while (newestSnapshot().compareTo(before) <= 0) {
            Check.that(System.currentTimeMillis() < end, "no snapshot of the metadata is written");
            Thread.sleep(50);
        }
    }

    /** What one broker does not serve is compared when the next one serves it. */
    private void compare(Map<String, List<String>> now) {
        now.forEach((kind, lines) -> {
            if (seen.containsKey(kind)) {
                Check.same(seen.get(kind), lines, kind + " after the change");
            }
        });
    }

    private void remember(Map<String, List<String>> now) {
        seen.putAll(now);
    }

    private void raiseFeatures() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", "127.0.0.1:" + port))) {
            FeatureUpdate.UpgradeType up = FeatureUpdate.UpgradeType.UPGRADE;
            admin.updateFeatures(Map.of("metadata.version", new FeatureUpdate((short) 27, up)), new UpdateFeaturesOptions()).all().get();
            admin.updateFeatures(Map.of("eligible.leader.replicas.version", new FeatureUpdate((short) 1, up)), new UpdateFeaturesOptions()).all().get();
        }
    }
}
