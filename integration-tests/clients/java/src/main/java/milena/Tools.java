package milena;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.Exit;

/**
 * Tools BOOTSTRAP CONTROLLERS FOLDER CASES: runs Apache's command line tools one after the other in one process, and prints for
 * each line of CASES how it ended and what it wrote, without what differs from run to run. A line is a class and its
 * arguments, in which @ is the option with the address of the broker, C that with those of controllers, and FOLDER a folder for
 * files. Besides there are
 * `produce TOPIC COUNT`, `join GROUP TOPIC PROTOCOL` (a member that stays), `leave`, `begin ID TOPIC` (a transaction that stays
 * open), `file NAME TEXT` and `stdin TEXT`, which the tools after it read; in a TEXT _LINE_ ends a line. `until PART` before a tool
 * runs it again until what it prints has PART.
 */
public final class Tools {
    private static final class Ended extends RuntimeException {
        private final int code;

        private Ended(int code) {
            super(null, null, false, false);
            this.code = code;
        }
    }

    /** What is written goes where it is to go now: Scala keeps the stream that it finds first. */
    private static final class Switch extends OutputStream {
        private volatile OutputStream to = new ByteArrayOutputStream();

        @Override
        public void write(int b) {
            write(new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public synchronized void write(byte[] bytes, int offset, int length) {
            if (ended != null) {
                return;
            }
            try {
                to.write(bytes, offset, length);
            } catch (java.io.IOException error) {
                throw new java.io.UncheckedIOException(error);
            }
        }
    }

    /** Whether of errors the first line is printed alone, and without what a logger or a JVM writes there. */
    private static final boolean FIRST = Boolean.getBoolean("first");
    private static final Pattern NOISE = Pattern.compile(
        "^\\s*$|^\\s+at |^\\s+\\.\\.\\. |^\\[|^WARN New offset|^(Caused by: )?(java|org|joptsimple)\\.[A-Za-z.$]*(Exception|Error)");
    private static volatile Ended ended;
    private static final Duration LIMIT = Duration.ofSeconds(40);
    private static final Switch OUT = new Switch();
    private static final Switch ERR = new Switch();
    private static String bootstrap;
    private static String controllers;
    private static Path folder;
    private static Thread member;
    private static volatile boolean leaving;
    private static KafkaProducer<String, String> open;
    private static byte[] input = new byte[0];
    /** What is to be done when the process of a tool ends. */
    private static final List<Runnable> HOOKS = new CopyOnWriteArrayList<>();

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        controllers = args[1];
        folder = Path.of(args[2]);
        PrintStream results = System.out;
        System.setOut(new PrintStream(OUT, true));
        System.setErr(new PrintStream(ERR, true));
        Exit.Procedure exit = (code, message) -> {
            // Tools catch what is thrown here, and go on: what they do from now on would not have happened.
            ended = ended == null ? new Ended(code) : ended;
            throw ended;
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        for (String line : Files.readAllLines(Path.of(args[3]))) {
            if (line.isBlank() || line.startsWith("#")) {
                continue;
            }
            String[] parts = line.strip().split(" ");
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ByteArrayOutputStream err = new ByteArrayOutputStream();
            OUT.to = out;
            ERR.to = err;
            ended = null;
            String code = run(parts);
            results.println("== " + line.strip());
            results.println("ends with " + code);
            print(results, "out", out);
            print(results, "err", err);
            results.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static void print(PrintStream results, String name, ByteArrayOutputStream bytes) {
        String text = masked(bytes.toString(StandardCharsets.UTF_8));
        if (FIRST && name.equals("err")) {
            Arrays.stream(text.split("\n")).map(String::stripTrailing).filter(line -> !NOISE.matcher(line).find()).findFirst()
                .ifPresent(line -> results.println(name + ": " + line));
            return;
        }
        // Sets come in the order of their hashes.
        Arrays.stream(text.split("\n")).map(String::stripTrailing).filter(line -> !line.isBlank() && !line.startsWith("\tat "))
            .sorted().forEach(line -> results.println(name + ": " + line));
    }

    private static String masked(String text) {
        // Formatters of what coordinators keep end no lines.
        return text.replace("}{\"key\":", "}\n{\"key\":")
            // Directories come in the order of the hashes of their paths.
            .replace("\"logDirs\":[", "\"logDirs\":[\n").replace("},{\"partitions\":", "}\n{\"partitions\":").replace("]}],\"version\"", "\n]}],\"version\"")
            .replace(folder.toString(), "FOLDER").replace(bootstrap, "ADDRESS").replace(controllers, "CONTROLLERS")
            .replaceAll("127\\.0\\.0\\.1[: ]\\d+", "ADDRESS").replaceAll("localhost:\\d+", "ADDRESS")
            .replaceAll("[\\w.-]*[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID")
            .replaceAll("console-consumer-\\d+", "ID").replaceAll("(?<![\\w-])[\\w-]{22}(?![\\w-])", "ID").replaceAll("\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z?", "TIME")
            .replaceAll("\\d{13,}", "TIME").replaceAll("@[0-9a-f]{5,}", "@HASH").replaceAll("(/[\\w.-]+)+/(kafka|milena)(?=\\W)", "DIRECTORY")
            .replaceAll("(TIME\\s+)\\d+\\s", "$1AGE ").replaceAll("\\d+ ms ago", "AGO").replaceAll("(Epoch|HighWatermark):\\s+\\d+", "$1: N")
            .replaceAll("(ID\t|\"producerId\":)\\d+", "$1N").replaceAll("(__\\w+-\\d+\",\"size\":)\\d+", "$1N").replaceAll(" {2,}", " ");
    }

    private static String run(String[] parts) throws Exception {
        String[] result = {"no end in time"};
        CountDownLatch done = new CountDownLatch(1);
        Thread thread = new Thread(() -> {
            try {
                result[0] = String.valueOf(perform(parts));
            } catch (Throwable error) {
                result[0] = error.toString();
            } finally {
                result[0] = ended == null ? result[0] : String.valueOf(ended.code);
                done.countDown();
            }
        });
        thread.setDaemon(true);
        thread.start();
        if (!done.await(LIMIT.toSeconds(), TimeUnit.SECONDS)) {
            thread.interrupt();
        }
        return masked(result[0]);
    }

    private static int perform(String[] parts) throws Throwable {
        switch (parts[0]) {
            case "produce" -> {
                try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings())) {
                    for (int n = 0; n < Integer.parseInt(parts[2]); n++) {
                        producer.send(new ProducerRecord<>(parts[1], null, 1_600_000_000_000L + n * 1000L, "k" + n, "v" + n)).get();
                    }
                }
            }
            case "join" -> join(parts[1], parts[2], parts[3]);
            case "leave" -> {
                leaving = true;
                member.join();
            }
            case "begin" -> {
                Properties settings = settings();
                settings.put("transactional.id", parts[1]);
                open = new KafkaProducer<>(settings);
                open.initTransactions();
                open.beginTransaction();
                open.send(new ProducerRecord<>(parts[2], 0, "k", "v")).get();
            }
            case "file" -> Files.writeString(folder.resolve(parts[1]), text(parts, 2));
            case "stdin" -> input = text(parts, 1).getBytes(StandardCharsets.UTF_8);
            case "until" -> until(parts[1].replace("_SPACE_", " "), Arrays.copyOfRange(parts, 2, parts.length));
            default -> tool(parts);
        }
        return 0;
    }

    private static void until(String part, String[] parts) throws Throwable {
        for (;;) {
            tool(parts);
            if (OUT.to.toString().contains(part)) {
                return;
            }
            ((ByteArrayOutputStream) OUT.to).reset();
            Thread.sleep(100);
        }
    }

    private static String text(String[] parts, int from) {
        return String.join(" ", List.of(parts).subList(from, parts.length)).replace("_LINE_", "\n").replace("FOLDER", folder.toString());
    }

    /** Runs a tool as if the process were its own. */
    private static void tool(String[] parts) throws Throwable {
        Class<?> type = Class.forName(parts[0]);
        if (type.getSimpleName().equals("ConsoleConsumer")) {
            Field count = type.getDeclaredField("messageCount");
            count.setAccessible(true);
            count.setInt(null, 0);
        }
        String[] arguments = Arrays.stream(parts, 1, parts.length).flatMap(Tools::argument).toArray(String[]::new);
        System.setIn(new ByteArrayInputStream(input));
        try {
            type.getMethod("main", String[].class).invoke(null, (Object) arguments);
        } catch (InvocationTargetException error) {
            throw error.getCause();
        } finally {
            HOOKS.forEach(Runnable::run);
            HOOKS.clear();
        }
    }

    private static java.util.stream.Stream<String> argument(String part) {
        return switch (part) {
            case "@" -> java.util.stream.Stream.of("--bootstrap-server", bootstrap);
            case "C" -> java.util.stream.Stream.of("--bootstrap-controller", controllers);
            default -> java.util.stream.Stream.of(part.replace("FOLDER", folder.toString()).replace("_SPACE_", " "));
        };
    }

    private static Properties settings() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("key.serializer", StringSerializer.class);
        settings.put("value.serializer", StringSerializer.class);
        settings.put("key.deserializer", StringDeserializer.class);
        settings.put("value.deserializer", StringDeserializer.class);
        return settings;
    }

    /** Joins a group, reads what there is and commits it. */
    private static void join(String group, String topic, String protocol) throws Exception {
        Properties settings = settings();
        settings.put("group.id", group);
        settings.put("group.protocol", protocol);
        settings.put("client.id", "member");
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        CountDownLatch read = new CountDownLatch(1);
        leaving = false;
        member = new Thread(() -> {
            try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings)) {
                consumer.subscribe(List.of(topic));
                while (!leaving) {
                    consumer.poll(Duration.ofMillis(100));
                    // One commit, whatever the number of answers that it came in: all commits are compared.
                    boolean all = consumer.assignment().stream().allMatch(partition -> consumer.currentLag(partition).orElse(1) == 0);
                    if (read.getCount() > 0 && all && !consumer.assignment().isEmpty()) {
                        consumer.commitSync();
                        read.countDown();
                    }
                }
            }
        });
        member.setDaemon(true);
        member.start();
        if (!read.await(20, TimeUnit.SECONDS)) {
            throw new IllegalStateException("nothing was read");
        }
    }
}
