package milena;

import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

/**
 * A word count of Kafka Streams with {@code exactly_once_v2}, in processes that are killed: {@code write} makes the
 * input, {@code count FOLDER} runs until it is killed, {@code check} waits for the counts, every one of which has to come
 * once and in sequence: {@code WordCount WHAT BOOTSTRAP TAG [FOLDER]}.
 */
public final class WordCount {
    private static final int LINES = 3000;
    private static final int WORDS = 23;
    private static final int PARTITIONS = 2;

    private WordCount() {
    }

    public static void main(String[] args) throws Exception {
        String bootstrap = args[1];
        String tag = args[2];
        switch (args[0]) {
            case "write" -> write(bootstrap, tag);
            case "count" -> count(bootstrap, tag, args[3]);
            case "check" -> check(bootstrap, tag);
            default -> throw new IllegalArgumentException(args[0]);
        }
        System.exit(0);
    }

    /** Three words a line. */
    private static List<String> words(int line) {
        return List.of("word-" + line % WORDS, "word-" + line * 7 % WORDS, "word-" + line * line % WORDS);
    }

    private static void write(String bootstrap, String tag) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            List<NewTopic> topics = List.of(new NewTopic(tag + "-lines", PARTITIONS, (short) 1),
                new NewTopic(tag + "-counts", PARTITIONS, (short) 1));
            admin.createTopics(topics).all().get();
        }
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (int line = 0; line < LINES; line++) {
                producer.send(new ProducerRecord<>(tag + "-lines", line % PARTITIONS, null, String.join(" ", words(line))));
            }
        }
    }

    private static void count(String bootstrap, String tag, String folder) throws InterruptedException {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(tag + "-lines", Consumed.with(Serdes.String(), Serdes.String()))
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
            // Not cached: each word is a record of its own.
            .count(Materialized.<String, Long>as(Stores.persistentKeyValueStore("counts"))
                .withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()).withCachingDisabled())
            .toStream()
            .to(tag + "-counts", Produced.with(Serdes.String(), Serdes.Long()));
        Properties settings = new Properties();
        settings.putAll(Map.of("application.id", tag, "bootstrap.servers", bootstrap, "state.dir", folder,
            "processing.guarantee", "exactly_once_v2",
            "commit.interval.ms", 100, "replication.factor", 1,
            "reconnect.backoff.max.ms", 200, "main.consumer.group.instance.id", "one",
            "consumer.heartbeat.interval.ms", 500));
        // Small steps, so that there is work left when somebody kills.
        settings.putAll(Map.of("consumer.max.poll.records", 25, "producer.transaction.timeout.ms", 10_000));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(e -> StreamThreadExceptionResponse.REPLACE_THREAD);
        streams.start();
        new CountDownLatch(1).await();
    }

    private static void check(String bootstrap, String tag) {
        Map<String, Long> wanted = new HashMap<>();
        for (int line = 0; line < LINES; line++) {
            words(line).forEach(word -> wanted.merge(word, 1L, Long::sum));
        }
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "group.id", tag + "-check",
            "auto.offset.reset", "earliest", "isolation.level", "read_committed", "reconnect.backoff.max.ms", 200);
        Map<String, Long> counts = new HashMap<>();
        try (KafkaConsumer<String, Long> consumer =
                new KafkaConsumer<>(settings, new StringDeserializer(), new LongDeserializer())) {
            consumer.subscribe(List.of(tag + "-counts"));
            // Nothing may come behind the last one.
            for (int quiet = 0; quiet < 5;) {
                for (ConsumerRecord<String, Long> record : consumer.poll(Duration.ofMillis(100))) {
                    if (counts.merge(record.key(), 1L, Long::sum) != (long) record.value()) {
                        throw new IllegalStateException(record + " instead of " + counts.get(record.key()));
                    }
                }
                quiet = counts.values().stream().mapToLong(n -> n).sum() < 3L * LINES ? 0 : quiet + 1;
            }
        }
        if (!counts.equals(wanted)) {
            throw new IllegalStateException(counts + " instead of " + wanted);
        }
        System.out.println(counts);
    }
}
