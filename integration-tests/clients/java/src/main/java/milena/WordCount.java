package milena;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
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
 * A word count of Kafka Streams with {@code exactly_once_v2}, in a process that is killed while it works.
 * {@code WordCount count BOOTSTRAP TAG FOLDER} counts until it is killed. {@code WordCount drive BOOTSTRAP TAG} writes
 * lines and reads the counts, each of which has to come once and in sequence. It prints {@code start} when somebody may
 * begin to count, {@code kill} when a process that is in the middle of its work should die and begin anew, and at last
 * {@code done}.
 */
public final class WordCount {
    private static final int PORTIONS = 3;
    private static final int LINES = 4000;
    private static final int WORDS = 23;
    private static final int PARTITIONS = 2;

    private WordCount() {
    }

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "count" -> count(args[1], args[2], args[3]);
            case "drive" -> drive(args[1], args[2]);
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    /** Three words a line. */
    private static List<String> words(int line) {
        return List.of("word-" + line % WORDS, "word-" + line * 7 % WORDS, "word-" + line * line % WORDS);
    }

    private static void drive(String bootstrap, String tag) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            List<NewTopic> topics = List.of(new NewTopic(tag + "-lines", PARTITIONS, (short) 1),
                new NewTopic(tag + "-counts", PARTITIONS, (short) 1));
            admin.createTopics(topics).all().get();
        }
        System.out.println("start");
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "group.id", tag + "-check",
            "auto.offset.reset", "earliest", "isolation.level", "read_committed", "reconnect.backoff.max.ms", 200);
        Map<String, Long> counts = new HashMap<>();
        try (KafkaConsumer<String, Long> consumer =
                new KafkaConsumer<>(settings, new StringDeserializer(), new LongDeserializer())) {
            consumer.subscribe(List.of(tag + "-counts"));
            for (int portion = 1; portion <= PORTIONS; portion++) {
                long before = total(counts);
                write(bootstrap, tag, (portion - 1) * LINES, portion * LINES);
                if (portion < PORTIONS) {
                    while (total(counts) == before) {
                        read(consumer, counts);
                    }
                    System.out.println("kill");
                }
            }
            // Nothing may come behind the last one.
            for (int quiet = 0; quiet < 5; quiet = total(counts) < 3L * PORTIONS * LINES ? 0 : quiet + 1) {
                read(consumer, counts);
            }
        }
        Map<String, Long> wanted = new HashMap<>();
        for (int line = 0; line < PORTIONS * LINES; line++) {
            words(line).forEach(word -> wanted.merge(word, 1L, Long::sum));
        }
        if (!counts.equals(wanted)) {
            throw new IllegalStateException(counts + " instead of " + wanted);
        }
        System.out.println("done");
    }

    private static long total(Map<String, Long> counts) {
        return counts.values().stream().mapToLong(n -> n).sum();
    }

    private static void read(KafkaConsumer<String, Long> consumer, Map<String, Long> counts) {
        for (ConsumerRecord<String, Long> record : consumer.poll(Duration.ofMillis(100))) {
            if (counts.merge(record.key(), 1L, Long::sum) != (long) record.value()) {
                throw new IllegalStateException(record + " instead of " + counts.get(record.key()));
            }
        }
    }

    private static void write(String bootstrap, String tag, int from, int to) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "reconnect.backoff.max.ms", 200);
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (int line = from; line < to; line++) {
                String text = String.join(" ", words(line));
                sent.add(producer.send(new ProducerRecord<>(tag + "-lines", line % PARTITIONS, null, text)));
            }
        }
        for (Future<RecordMetadata> one : sent) {
            one.get();
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
}
