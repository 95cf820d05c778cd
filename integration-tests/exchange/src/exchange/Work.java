package exchange;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** What clients do to a broker in one turn: something of every kind that leaves its mark in the data directory. */
final class Work {
    static final long BASE_MS = 1_700_000_000_000L;
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    private static final Map<String, Map<String, String>> TOPICS = Map.of(
        "plain", Map.of(),
        "codecs", Map.of(),
        "recompressed", Map.of("compression.type", "zstd"),
        "logappend", Map.of("message.timestamp.type", "LogAppendTime"),
        "rolled", Map.of("segment.ms", "60000", "index.interval.bytes", "128"),
        "big", Map.of("segment.bytes", "1048576", "index.interval.bytes", "1024"),
        "compacted", Map.of("cleanup.policy", "compact", "segment.ms", "1000", "min.cleanable.dirty.ratio", "0.01"),
        "trimmed", Map.of(),
        "transactions", Map.of(),
        Ledger.TOPIC, Map.of());

    private final String bootstrap;
    private final Apis apis;
    private final int turn;
    private final Admin admin;

    private Work(int port, int turn) throws Exception {
        bootstrap = "127.0.0.1:" + port;
        apis = Apis.of(port);
        this.turn = turn;
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    /** {@code stays}: whether the broker is stopped cleanly after it; a kill brings deleted records back, with Kafka as well. */
    static void on(int port, int turn, boolean stays) throws Exception {
        Work work = new Work(port, turn);
        try (Admin any = work.admin) {
            work.topics();
            work.records();
            if (stays) {
                work.trim();
            }
            work.groups();
            work.configs();
            work.transactions();
        }
    }

    /** Makes what is not there, adds partitions, deletes a topic, and makes one of its name with another id. */
    private void topics() throws Exception {
        Set<String> known = admin.listTopics().names().get();
        List<NewTopic> missing = TOPICS.entrySet().stream().filter(topic -> !known.contains(topic.getKey()))
            .map(topic -> new NewTopic(topic.getKey(), 3, (short) 1).configs(topic.getValue())).toList();
        admin.createTopics(missing).all().get();
        String name = "of-turn-" + turn;
        admin.createTopics(List.of(new NewTopic(name, 2, (short) 1).configs(Map.of("retention.bytes", "1000000000")),
            new NewTopic("gone-" + turn, 4, (short) 1))).all().get();
        send(name, 0, 50, Map.of());
        send("gone-" + turn, 0, 50, Map.of("compression.type", "lz4"));
        int partitions = admin.describeTopics(List.of("plain")).allTopicNames().get().get("plain").partitions().size();
        admin.createPartitions(Map.of("plain", NewPartitions.increaseTo(partitions + 1))).all().get();
        List<String> doomed = new ArrayList<>(List.of("gone-" + turn));
        if (known.contains("again")) {
            doomed.add("again");
        }
        admin.deleteTopics(doomed).all().get();
        NewTopic again = new NewTopic("again", 2, (short) 1);
        retried(() -> admin.createTopics(List.of(again)).all().get());
        send("again", turn * 100, turn * 100 + 20, Map.of());
    }

    private void records() throws Exception {
        for (String codec : CODECS) {
            send("codecs", turn * 1000, turn * 1000 + 150, Map.of("compression.type", codec, "linger.ms", 20));
            send("recompressed", turn * 1000, turn * 1000 + 50, Map.of("compression.type", codec, "linger.ms", 20));
        }
        send("plain", 0, 60, Map.of("enable.idempotence", false, "acks", "1"));
        send("logappend", 0, 60, Map.of());
        byte[] large = new byte[20_000];
        new Random(turn).nextBytes(large);
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("batch.size", 1))) {
            for (int n = 0; n < 40; n++) {
                // Each goes past segment.ms after the one before, some steps backwards.
                producer.send(new ProducerRecord<>("rolled", n % 2, time(n * 30_000L - n % 3 * 500), bytes("k" + n), bytes("v" + n)));
                producer.send(new ProducerRecord<>("compacted", 0, time(n * 700L), bytes("key " + n % 7),
                    n % 7 == turn % 7 ? null : bytes(turn + " " + n)));
                producer.send(new ProducerRecord<byte[], byte[]>("plain", 0, (Long) time(n * 1000L), (byte[]) null, (byte[]) null));
                producer.send(new ProducerRecord<>("trimmed", 0, null, null, bytes("t" + n)));
            }
            for (int n = 0; n < 100; n++) {
                producer.send(new ProducerRecord<>("big", 0, null, null, large));
            }
            producer.flush();
        }
    }

    private void trim() throws Exception {
        TopicPartition partition = new TopicPartition("trimmed", 0);
        long end = admin.listOffsets(Map.of(partition, OffsetSpec.latest())).partitionResult(partition).get().offset();
        admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(end - 15))).all().get();
    }

    private void groups() throws Exception {
        List<String> protocols = new ArrayList<>(List.of("classic"));
        if (apis.serve(ApiKeys.CONSUMER_GROUP_HEARTBEAT)) {
            protocols.add("consumer");
        }
        for (String protocol : protocols) {
            try (KafkaConsumer<byte[], byte[]> consumer = consumer("g-" + protocol, protocol, null)) {
                join(consumer, "codecs");
                consumer.commitSync(Map.of(new TopicPartition("codecs", turn % 3), new OffsetAndMetadata(10L * turn + 1, "turn " + turn)));
            }
            // A static member does not leave: whoever comes next has to know it.
            try (KafkaConsumer<byte[], byte[]> consumer = consumer("g-left-" + protocol, protocol, "instance")) {
                join(consumer, "plain");
                consumer.commitSync(Map.of(new TopicPartition("plain", 0), new OffsetAndMetadata(turn)));
            }
        }
        TopicPartition place = new TopicPartition("plain", 1);
        admin.alterConsumerGroupOffsets("g-simple", Map.of(place, new OffsetAndMetadata(turn + 3L, "by hand"))).all().get();
        admin.alterConsumerGroupOffsets("g-deleted", Map.of(place, new OffsetAndMetadata(1))).all().get();
        admin.deleteConsumerGroups(List.of("g-deleted")).all().get();
    }

    private void configs() throws Exception {
        if (apis.serve(ApiKeys.INCREMENTAL_ALTER_CONFIGS)) {
            ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, "plain");
            ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
            ConfigResource brokers = new ConfigResource(ConfigResource.Type.BROKER, "");
            admin.incrementalAlterConfigs(Map.of(
                topic, List.of(set("max.message.bytes", 1_000_000 + turn), turn % 2 == 0
                    ? set("retention.ms", 1_000_000_000_000L) : new AlterConfigOp(new ConfigEntry("retention.ms", ""), AlterConfigOp.OpType.DELETE)),
                broker, List.of(set("log.cleaner.threads", 1 + turn % 2)),
                brokers, List.of(set("message.max.bytes", 2_000_000 + turn)))).all().get();
        }
        if (apis.serve(ApiKeys.ALTER_CLIENT_QUOTAS)) {
            ClientQuotaEntity entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, "client-" + turn));
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity,
                List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1e9 + turn))))).all().get();
        }
        if (apis.serve(ApiKeys.ALTER_USER_SCRAM_CREDENTIALS)) {
            ScramCredentialInfo info = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096);
            admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion("user-" + turn, info, "secret"))).all().get();
        }
    }

    private static AlterConfigOp set(String name, Object value) {
        return new AlterConfigOp(new ConfigEntry(name, value.toString()), AlterConfigOp.OpType.SET);
    }

    /** One committed, one aborted, offsets in one, and one left open. */
    private void transactions() throws Exception {
        if (!apis.serve(ApiKeys.ADD_PARTITIONS_TO_TXN, ApiKeys.END_TXN, ApiKeys.TXN_OFFSET_COMMIT)) {
            return;
        }
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("transactional.id", "tx"))) {
            producer.initTransactions();
            for (int n = 0; n < 4; n++) {
                producer.beginTransaction();
                for (int k = 0; k < 10; k++) {
                    producer.send(new ProducerRecord<>("transactions", k % 3, null, bytes(turn + " " + n + " " + k)));
                }
                if (n % 2 == 0) {
                    producer.sendOffsetsToTransaction(Map.of(new TopicPartition("plain", 0), new OffsetAndMetadata(100L * turn + n, "in")),
                        new ConsumerGroupMetadata("g-transaction"));
                    producer.commitTransaction();
                } else {
                    producer.flush();
                    producer.abortTransaction();
                }
            }
        }
        KafkaProducer<byte[], byte[]> open = producer(Map.of("transactional.id", "tx-open", "transaction.timeout.ms", 600_000));
        open.initTransactions();
        open.beginTransaction();
        open.send(new ProducerRecord<>("transactions", 2, null, bytes("open " + turn)));
        open.flush();
        open.close(Duration.ZERO);
    }

    private long time(long offset) {
        return BASE_MS + turn * 5_000_000L + offset;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private KafkaProducer<byte[], byte[]> producer(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(settings);
        all.put("bootstrap.servers", bootstrap);
        return new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private void send(String topic, int from, int to, Map<String, Object> settings) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer(settings)) {
            for (int n = from; n < to; n++) {
                ProducerRecord<byte[], byte[]> record =
                    new ProducerRecord<>(topic, null, bytes("key " + n % 10), bytes("value " + n + " of turn " + turn));
                if (n % 3 == 0) {
                    record.headers().add("turn", bytes(Integer.toString(turn))).add("empty", null);
                }
                sent.add(producer.send(record));
            }
        }
        for (Future<RecordMetadata> one : sent) {
            one.get();
        }
    }

    private KafkaConsumer<byte[], byte[]> consumer(String group, String protocol, String instance) {
        Map<String, Object> all = new HashMap<>();
        all.put("bootstrap.servers", bootstrap);
        all.put("group.id", group);
        all.put("group.protocol", protocol);
        all.put("client.id", "client of " + group);
        all.put("auto.offset.reset", "earliest");
        all.put("enable.auto.commit", false);
        if (instance != null) {
            all.put("group.instance.id", instance);
        }
        if (protocol.equals("classic")) {
            all.put("session.timeout.ms", 600_000);
        }
        return new KafkaConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static void join(KafkaConsumer<byte[], byte[]> consumer, String topic) {
        consumer.subscribe(List.of(topic));
        long end = System.currentTimeMillis() + 30_000;
        while (consumer.assignment().isEmpty()) {
            Check.that(System.currentTimeMillis() < end, "a consumer gets no partitions");
            consumer.poll(Duration.ofMillis(50));
        }
    }

    private interface Attempt {
        void run() throws Exception;
    }

    /** A name is free only when the broker has seen its old topic go, which Kafka answers before it has. */
    private static void retried(Attempt attempt) throws Exception {
        for (int left = 50;; left--) {
            try {
                attempt.run();
                return;
            } catch (ExecutionException failed) {
                boolean exists = failed.getCause() instanceof TopicExistsException;
                if (!exists || left == 0) {
                    throw failed;
                }
                Thread.sleep(100);
            }
        }
    }
}
