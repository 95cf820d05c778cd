package exchange;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** One idempotent producer that lives through all stops, deaths and successions: each of its records once, in order. */
final class Ledger {
    static final String TOPIC = "ledger";
    private static final int PARTITIONS = 3;

    private final String bootstrap;
    private final KafkaProducer<byte[], byte[]> producer;
    private final List<Future<RecordMetadata>> sent = new ArrayList<>();
    private final AtomicInteger acknowledged = new AtomicInteger();

    Ledger(int port) {
        bootstrap = "127.0.0.1:" + port;
        // One request in flight: of a producer, a Kafka that recovers remembers the last batch alone, and takes older ones
        // that are sent again for gaps.
        producer = new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap, "acks", "all", "linger.ms", 1,
            "max.in.flight.requests.per.connection", 1, "batch.size", 2000, "delivery.timeout.ms", 120_000,
            "request.timeout.ms", 10_000, "retry.backoff.ms", 50, "reconnect.backoff.max.ms", 200),
            new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** Queues records, and returns when {@code wanted} of them are acknowledged. */
    void send(int count, int wanted) throws Exception {
        int target = acknowledged.get() + wanted;
        for (int n = 0; n < count; n++) {
            byte[] value = Integer.toString(sent.size()).getBytes(StandardCharsets.UTF_8);
            sent.add(producer.send(new ProducerRecord<>(TOPIC, sent.size() % PARTITIONS, null, value), (metadata, error) -> {
                if (error == null) {
                    acknowledged.incrementAndGet();
                }
            }));
        }
        long end = System.currentTimeMillis() + 60_000;
        while (acknowledged.get() < target) {
            Check.that(System.currentTimeMillis() < end, "the ledger's records are not acknowledged");
            Thread.onSpinWait();
        }
    }

    /** Everything that was ever sent is there once, at its place. */
    void verify() throws Exception {
        producer.flush();
        Map<String, String> seen = new HashMap<>();
        List<TopicPartition> partitions =
            IntStream.range(0, PARTITIONS).mapToObj(n -> new TopicPartition(TOPIC, n)).toList();
        int[] last = IntStream.generate(() -> -1).limit(PARTITIONS).toArray();
        for (ConsumerRecord<byte[], byte[]> record : Describe.read(bootstrap, partitions, "read_uncommitted")) {
            String value = new String(record.value(), StandardCharsets.UTF_8);
            String place = record.partition() + "@" + record.offset();
            String other = seen.put(value, place);
            Check.that(other == null, "ledger: record " + value + " lies at " + other + " and " + place);
            Check.that(Integer.parseInt(value) > last[record.partition()], "ledger: record " + value + " is out of order");
            last[record.partition()] = Integer.parseInt(value);
        }
        for (int n = 0; n < sent.size(); n++) {
            RecordMetadata told = sent.get(n).get(60, TimeUnit.SECONDS);
            String place = seen.get(Integer.toString(n));
            // A retransmission of a batch that is older than the last five is acknowledged without its offset.
            boolean right = place != null && (!told.hasOffset() || place.equals(told.partition() + "@" + told.offset()));
            Check.that(right, "ledger: record " + n + ", acknowledged as " + told + ", lies at " + place);
        }
        Check.that(seen.size() == sent.size(), "ledger: " + seen.size() + " records of " + sent.size());
    }

    int size() {
        return sent.size();
    }

    void close() {
        producer.close();
    }
}
