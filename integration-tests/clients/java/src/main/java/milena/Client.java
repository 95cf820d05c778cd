package milena;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.clients.producer.RoundRobinPartitioner;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Apache's own client library: {@code Client SCENARIO BOOTSTRAP TAG}. */
public final class Client {
    private static final long BASE_MS = 1_700_000_000_000L;
    private final String bootstrap;
    private final String tag;

    private Client(String bootstrap, String tag) {
        this.bootstrap = bootstrap;
        this.tag = tag;
    }

    public static void main(String[] args) throws Exception {
        Client client = new Client(args[1], args[2]);
        switch (args[0]) {
            case "codecs" -> client.codecs();
            case "group" -> client.group("classic");
            case "rebalance" -> client.rebalance("classic");
            case "next" -> client.next();
            case "migrate" -> client.migrate();
            case "seek" -> client.seek();
            case "admin" -> client.admin();
            case "transaction" -> client.transaction();
            case "compacted" -> client.compacted();
            case "restart" -> client.restart();
            case "before" -> client.group("classic");
            case "after" -> client.after();
            case "mirror" -> client.mirror();
            case "mirrored" -> client.mirrored(args[3]);
            default -> throw new IllegalArgumentException("no scenario " + args[0]);
        }
    }

    private void codecs() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            for (String acks : List.of("0", "1", "all")) {
                String topic = tag + "-" + codec + "-" + acks;
                send(topic, 0, 200, Map.of("compression.type", codec, "acks", acks, "linger.ms", 20,
                    "enable.idempotence", acks.equals("all")));
                try (KafkaConsumer<String, String> consumer = consumer(topic, "classic", topic)) {
                    expect(values(0, 200), take(consumer, 200).stream().map(ConsumerRecord::value).toList(), topic);
                }
            }
        }
    }

    private void group(String protocol) throws Exception {
        send(tag, 0, 100, Map.of());
        try (KafkaConsumer<String, String> consumer = consumer(tag, protocol, tag)) {
            take(consumer, 60);
            consumer.commitSync(Map.of(new TopicPartition(tag, 0), new OffsetAndMetadata(60, "so far")));
        }
        try (KafkaConsumer<String, String> consumer = consumer(tag, protocol, tag)) {
            expect(values(60, 100), take(consumer, 40).stream().map(ConsumerRecord::value).toList(), protocol);
            OffsetAndMetadata committed = consumer.committed(Set.of(new TopicPartition(tag, 0)))
                .get(new TopicPartition(tag, 0));
            expect("60 so far", committed.offset() + " " + committed.metadata(), "committed");
        }
    }

    /** One member, two, and one that has the partitions of both, each with its share of the records. */
    private void rebalance(String protocol) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(new NewTopic(tag, 6, (short) 1))).all().get();
        }
        KafkaConsumer<String, String> first = consumer(tag, protocol, tag);
        share(List.of(first), 6);
        try (KafkaConsumer<String, String> second = consumer(tag, protocol, tag)) {
            share(List.of(first, second), 3);
            try (KafkaProducer<String, String> producer = producer(Map.of())) {
                for (int partition = 0; partition < 6; partition++) {
                    producer.send(new ProducerRecord<>(tag, partition, null, "value"));
                }
            }
            Set<Integer> ofFirst = new HashSet<>();
            Set<Integer> ofSecond = new HashSet<>();
            long end = System.nanoTime() + 60_000_000_000L;
            while (ofFirst.size() != 3 || ofSecond.size() != 3) {
                first.poll(Duration.ofMillis(50)).forEach(record -> ofFirst.add(record.partition()));
                second.poll(Duration.ofMillis(50)).forEach(record -> ofSecond.add(record.partition()));
                expect(true, System.nanoTime() < end, "records of " + ofFirst + " and " + ofSecond);
            }
            ofFirst.retainAll(ofSecond);
            expect(Set.of(), ofFirst, "partitions that both have read");
            first.close();
            share(List.of(second), 6);
        }
    }

    /** The group protocol of KIP-848. */
    private void next() throws Exception {
        group("consumer");
        new Client(bootstrap, tag + "-rebalance").rebalance("consumer");
    }

    /** A group that has members of both protocols for a while, and changes its own with them. */
    private void migrate() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(new NewTopic(tag, 6, (short) 1))).all().get();
            try (KafkaConsumer<String, String> next = consumer(tag, "consumer", tag)) {
                try (KafkaConsumer<String, String> classic = consumer(tag, "classic", tag)) {
                    share(List.of(classic, next), 3);
                    var group = admin.describeConsumerGroups(List.of(tag)).all().get().get(tag);
                    expect("Consumer 2", group.type() + " " + group.members().size(), "described");
                }
                share(List.of(next), 6);
            }
            try (KafkaConsumer<String, String> classic = consumer(tag, "classic", tag)) {
                share(List.of(classic), 6);
                try (KafkaConsumer<String, String> next = consumer(tag, "consumer", tag)) {
                    share(List.of(classic, next), 3);
                }
                share(List.of(classic), 6);
                var group = admin.describeConsumerGroups(List.of(tag)).all().get().get(tag);
                expect("Classic 1", group.type() + " " + group.members().size(), "described");
            }
        }
        try (KafkaConsumer<String, String> pattern = consumer(tag, "consumer", tag + "-pattern")) {
            pattern.unsubscribe();
            pattern.subscribe(new org.apache.kafka.clients.consumer.SubscriptionPattern(tag + ".*"));
            share(List.of(pattern), 6);
        }
    }

    private static void share(List<KafkaConsumer<String, String>> members, int each) {
        long end = System.nanoTime() + 60_000_000_000L;
        while (members.stream().anyMatch(member -> member.assignment().size() != each)) {
            members.forEach(member -> member.poll(Duration.ofMillis(50)));
            if (System.nanoTime() > end) {
                throw new IllegalStateException("shares: " + members.stream().map(KafkaConsumer::assignment).toList());
            }
        }
    }

    /** Reads until of every key but the last batch's only the newest record is left. */
    private void compacted() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            var configs = Map.of("cleanup.policy", "compact", "segment.ms", "1", "min.cleanable.dirty.ratio", "0");
            admin.createTopics(List.of(new NewTopic(tag, 1, (short) 1).configs(configs))).all().get();
        }
        List<String> wanted = new ArrayList<>(values(40, 50));
        wanted.add("last");
        try (KafkaProducer<String, String> producer = producer(Map.of("compression.type", "snappy"))) {
            for (int n = 0; n < 50; n++) {
                producer.send(new ProducerRecord<>(tag, "key " + n % 10, "value " + n)).get();
            }
            // It closes the segment, however fast the records before it went.
            producer.send(new ProducerRecord<>(tag, null, System.currentTimeMillis() + 10_000, "last", "last")).get();
        }
        List<String> seen = List.of();
        try (KafkaConsumer<String, String> consumer = consumer(tag, null, null)) {
            TopicPartition partition = new TopicPartition(tag, 0);
            consumer.assign(List.of(partition));
            while (!seen.equals(wanted)) {
                consumer.seek(partition, 0);
                seen = new ArrayList<>();
                while (consumer.position(partition) <= 50) {
                    for (var record : consumer.poll(Duration.ofMillis(100))) {
                        seen.add(record.value());
                    }
                }
            }
        }
    }

    /** Somebody kills the broker meanwhile: what was sent is read. */
    private void restart() throws Exception {
        send(tag, 0, 1, Map.of());
        Set<String> seen = new HashSet<>();
        Set<String> wanted = new HashSet<>(values(0, 301));
        try (KafkaConsumer<String, String> consumer = consumer(tag, "classic", tag);
             KafkaProducer<String, String> producer = producer(Map.of())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (String value : values(1, 301)) {
                sent.add(producer.send(new ProducerRecord<>(tag, value)));
                consumer.poll(Duration.ZERO).forEach(record -> seen.add(record.value()));
                Thread.sleep(15);
            }
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
            while (!seen.equals(wanted)) {
                consumer.poll(Duration.ofMillis(200)).forEach(record -> seen.add(record.value()));
            }
        }
    }

    private void after() throws Exception {
        send(tag, 100, 101, Map.of());
        try (KafkaConsumer<String, String> consumer = consumer(tag, "classic", tag)) {
            expect(values(60, 101), take(consumer, 41).stream().map(ConsumerRecord::value).toList(), "after");
        }
    }

    private void seek() throws Exception {
        try (KafkaProducer<String, String> producer = producer(Map.of())) {
            for (int n = 0; n < 50; n++) {
                producer.send(new ProducerRecord<>(tag, 0, BASE_MS + n * 1000L, null, "value " + n));
            }
        }
        TopicPartition partition = new TopicPartition(tag, 0);
        try (KafkaConsumer<String, String> consumer = consumer(tag, "classic", null)) {
            consumer.assign(List.of(partition));
            long offset = consumer.offsetsForTimes(Map.of(partition, BASE_MS + 20_500)).get(partition).offset();
            expect(21L, offset, "by time");
            consumer.seek(partition, offset);
            expect("value 21", take(consumer, 1).get(0).value(), "after the seek");
            expect(50L, consumer.endOffsets(List.of(partition)).get(partition), "end");
        }
    }

    private void admin() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            NewTopic topic = new NewTopic(tag, 3, (short) 1).configs(Map.of("retention.ms", "1000000"));
            admin.createTopics(List.of(topic)).all().get();
            int partitions = 0;
            while (partitions != 3) {
                partitions = admin.listTopics().names().get().contains(tag)
                    ? admin.describeTopics(List.of(tag)).allTopicNames().get().get(tag).partitions().size() : 0;
            }
            expect(1, admin.describeCluster().nodes().get().size(), "nodes");
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, tag);
            var set = new AlterConfigOp(new ConfigEntry("retention.ms", "2000000"), AlterConfigOp.OpType.SET);
            admin.incrementalAlterConfigs(Map.of(resource, List.of(set))).all().get();
            String retention = admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value();
            expect("2000000", retention, "retention.ms");
            var committed = Map.of(new TopicPartition(tag, 0), new OffsetAndMetadata(0));
            admin.alterConsumerGroupOffsets(tag, committed).all().get();
            // The name that the call has in 3.9 as well.
            boolean listed = admin.listConsumerGroups().all().get().stream().anyMatch(group -> group.groupId().equals(tag));
            expect(true, listed, "the group");
            admin.deleteConsumerGroups(List.of(tag)).all().get();
            admin.deleteTopics(List.of(tag)).all().get();
            while (admin.listTopics().names().get().contains(tag)) {
                Thread.onSpinWait();
            }
        }
    }

    private void transaction() throws Exception {
        try (KafkaProducer<String, String> producer = producer(Map.of("transactional.id", tag))) {
            producer.initTransactions();
            for (String value : List.of("committed", "aborted", "committed too")) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(tag, value)).get();
                if (value.equals("aborted")) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                }
            }
        }
        try (KafkaConsumer<String, String> consumer = consumer(tag, "classic", tag)) {
            List<String> seen = take(consumer, 2).stream().map(ConsumerRecord::value).toList();
            expect(List.of("committed", "committed too"), seen, "read_committed");
        }
    }

    /** What MirrorMaker 2 is to find: a topic that is not as by default, 500 records, and a group that has read them. */
    private void mirror() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            var topic = new NewTopic(tag, 3, (short) 1).configs(Map.of("retention.ms", "1234567890"));
            admin.createTopics(List.of(topic)).all().get();
        }
        send(tag, 0, 500, Map.of("partitioner.class", RoundRobinPartitioner.class.getName()));
        try (KafkaConsumer<String, String> consumer = consumer(tag, "classic", tag)) {
            expect(500, take(consumer, 500).size(), "records to mirror");
            consumer.commitSync();
        }
    }

    /** What it has brought from the other cluster: records, the topic's configuration, and where the group is. */
    private void mirrored(String from) throws Exception {
        String topic = from + "." + tag;
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            var partitions = IntStream.range(0, 3).mapToObj(n -> new TopicPartition(topic, n)).toList();
            var latest = partitions.stream().collect(Collectors.toMap(p -> p, p -> OffsetSpec.latest()));
            long records = admin.listOffsets(latest).all().get().values().stream().mapToLong(end -> end.offset()).sum();
            expect(500L, records, "records");
            String retention = admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value();
            expect("1234567890", retention, "retention.ms");
            long committed = admin.listConsumerGroupOffsets(tag).partitionsToOffsetAndMetadata().get().values()
                .stream().mapToLong(OffsetAndMetadata::offset).sum();
            expect(500L, committed, "committed");
        }
    }

    private KafkaProducer<String, String> producer(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(settings);
        all.put("bootstrap.servers", bootstrap);
        return new KafkaProducer<>(all, new StringSerializer(), new StringSerializer());
    }

    private void send(String topic, int from, int to, Map<String, Object> settings) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, String> producer = producer(settings)) {
            for (String value : values(from, to)) {
                sent.add(producer.send(new ProducerRecord<>(topic, value)));
            }
        }
        for (Future<RecordMetadata> one : sent) {
            one.get();
        }
    }

    private KafkaConsumer<String, String> consumer(String topic, String protocol, String group) {
        Map<String, Object> all = new HashMap<>();
        all.put("bootstrap.servers", bootstrap);
        all.put("auto.offset.reset", "earliest");
        all.put("enable.auto.commit", false);
        all.put("isolation.level", "read_committed");
        if (group != null) {
            all.put("group.id", group);
            all.put("group.protocol", protocol);
        }
        KafkaConsumer<String, String> consumer =
            new KafkaConsumer<>(all, new StringDeserializer(), new StringDeserializer());
        if (group != null) {
            consumer.subscribe(List.of(topic));
        }
        return consumer;
    }

    private static List<ConsumerRecord<String, String>> take(KafkaConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> seen = new ArrayList<>();
        long end = System.nanoTime() + Duration.ofSeconds(30).toNanos();
        while (seen.size() < count && System.nanoTime() < end) {
            consumer.poll(Duration.ofMillis(200)).forEach(seen::add);
        }
        return seen;
    }

    private static List<String> values(int from, int to) {
        return IntStream.range(from, to).mapToObj(n -> "value " + n).toList();
    }

    private static void expect(Object wanted, Object seen, String what) {
        if (!wanted.equals(seen)) {
            System.err.println(what + ": " + seen + " instead of " + wanted);
            System.exit(1);
        }
    }
}
