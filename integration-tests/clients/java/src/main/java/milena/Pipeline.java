package milena;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * {@code Pipeline BOOTSTRAP TAG ORDERS PROTOCOL}: orders go through two stages in transactions, some of which are aborted on
 * purpose, while somebody kills the broker. Each has to come out once, and those of one customer in sequence. The groups
 * speak PROTOCOL, {@code classic} or {@code consumer}.
 */
public final class Pipeline {
    private static final int CUSTOMERS = 97;
    private static final int PARTITIONS = 4;
    private final String bootstrap;
    private final String tag;
    private final String protocol;
    private volatile boolean stopped;
    private volatile Throwable failure;

    private Pipeline(String bootstrap, String tag, String protocol) {
        this.bootstrap = bootstrap;
        this.tag = tag;
        this.protocol = protocol;
    }

    public static void main(String[] args) throws Exception {
        new Pipeline(args[0], args[1], args[3]).run(Integer.parseInt(args[2]));
    }

    private void run(int orders) throws Exception {
        List<String> topics = List.of(tag + "-orders", tag + "-priced", tag + "-shipped");
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(topics.stream().map(name -> new NewTopic(name, PARTITIONS, (short) 1)).toList()).all().get();
        }
        write(topics.get(0), orders);
        List<Thread> workers = new ArrayList<>();
        for (int stage = 0; stage < 2; stage++) {
            // Two workers share the first stage.
            for (int worker = 0; worker < 2 - stage; worker++) {
                String from = topics.get(stage);
                String to = topics.get(stage + 1);
                String id = from + "-" + worker;
                Random random = new Random(worker);
                workers.add(new Thread(() -> work(from, to, id, random)));
            }
        }
        workers.forEach(Thread::start);
        try {
            check(topics.get(2), orders);
        } finally {
            stopped = true;
        }
        for (Thread worker : workers) {
            worker.join();
        }
        System.out.println(orders + " orders");
        // Consumers that are closed while the broker is gone leave no thread that matters.
        System.exit(0);
    }

    /** Some of the orders are written twice, the first time in a transaction that is aborted. */
    private void write(String topic, int orders) {
        try (KafkaProducer<String, String> producer = producer(topic)) {
            producer.initTransactions();
            for (int from = 0; from < orders; from += 1000) {
                for (boolean commits : from % 3000 == 0 ? new boolean[] {false, true} : new boolean[] {true}) {
                    producer.beginTransaction();
                    for (int n = from; n < Math.min(from + 1000, orders); n++) {
                        producer.send(new ProducerRecord<>(topic, "customer-" + n % CUSTOMERS, Integer.toString(n)));
                    }
                    producer.flush();
                    if (commits) {
                        producer.commitTransaction();
                    } else {
                        producer.abortTransaction();
                    }
                }
            }
        }
    }

    private void work(String from, String to, String id, Random random) {
        try (KafkaConsumer<String, String> consumer = consumer(from)) {
            consumer.subscribe(List.of(from));
            while (!stopped) {
                // The next producer of an id ends what the former has left.
                try (KafkaProducer<String, String> producer = producer(id)) {
                    producer.initTransactions();
                    rewind(consumer);
                    while (!stopped) {
                        transact(consumer, producer, to, random.nextInt(5) == 0);
                    }
                } catch (KafkaException e) {
                    System.err.println(id + " begins anew: " + e);
                }
            }
        } catch (RuntimeException e) {
            failure = e;
        }
    }

    private static void transact(KafkaConsumer<String, String> consumer, KafkaProducer<String, String> producer,
        String to, boolean aborts) {
        ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
        if (records.isEmpty()) {
            return;
        }
        producer.beginTransaction();
        for (ConsumerRecord<String, String> record : records) {
            producer.send(new ProducerRecord<>(to, record.key(), record.value() + ">"));
        }
        producer.sendOffsetsToTransaction(records.nextOffsets(), consumer.groupMetadata());
        if (aborts) {
            producer.abortTransaction();
            rewind(consumer);
        } else {
            producer.commitTransaction();
        }
    }

    private static void rewind(KafkaConsumer<String, String> consumer) {
        Set<TopicPartition> assigned = consumer.assignment();
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(assigned);
        for (TopicPartition partition : assigned) {
            OffsetAndMetadata offset = committed.get(partition);
            consumer.seek(partition, offset == null ? 0 : offset.offset());
        }
    }

    private void check(String topic, int orders) {
        Map<String, Integer> next = new HashMap<>();
        int seen = 0;
        int quiet = 0;
        try (KafkaConsumer<String, String> consumer = consumer(topic + "-check")) {
            // Not as a member of a group: one that was put out of it would begin anew.
            consumer.assign(IntStream.range(0, PARTITIONS).mapToObj(n -> new TopicPartition(topic, n)).toList());
            // Nothing may come behind the last one.
            while (seen < orders || quiet++ < 5) {
                if (failure != null) {
                    throw new IllegalStateException(failure);
                }
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                    int number = Integer.parseInt(record.value().replace(">>", ""));
                    int expected = next.getOrDefault(record.key(), number % CUSTOMERS);
                    if (!record.key().equals("customer-" + number % CUSTOMERS) || number != expected) {
                        throw new IllegalStateException(record + ": expected was " + expected);
                    }
                    next.put(record.key(), expected + CUSTOMERS);
                    seen++;
                }
            }
        }
        if (seen != orders) {
            throw new IllegalStateException(seen + " of " + orders);
        }
    }

    private KafkaProducer<String, String> producer(String id) {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "transactional.id", id,
            "reconnect.backoff.max.ms", 200, "max.block.ms", 30_000);
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    private KafkaConsumer<String, String> consumer(String group) {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "group.id", group,
            "auto.offset.reset", "earliest", "enable.auto.commit", false, "isolation.level", "read_committed",
            "max.poll.records", 200, "reconnect.backoff.max.ms", 200, "group.protocol", protocol));
        if (protocol.equals("classic")) {
            settings.putAll(Map.of("session.timeout.ms", 6000, "heartbeat.interval.ms", 500));
        }
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }
}
