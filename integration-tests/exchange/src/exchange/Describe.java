package exchange;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.zip.CRC32;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** All that clients can see of a broker, as lines under the names of what they describe. */
final class Describe {
    private static final List<Long> TIMES = List.of(0L, Work.BASE_MS + 20_500, Work.BASE_MS + 10_000_000, Long.MAX_VALUE);

    private final String bootstrap;
    private final Apis apis;
    private final Map<String, List<String>> lines = new TreeMap<>();

    private Describe(int port) throws Exception {
        bootstrap = "127.0.0.1:" + port;
        apis = Apis.of(port);
    }

    static Map<String, List<String>> broker(int port) throws Exception {
        Describe describe = new Describe(port);
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", describe.bootstrap))) {
            describe.add("cluster", admin.describeCluster().clusterId().get());
            Map<String, TopicDescription> topics = describe.topics(admin);
            Map<String, String> policies = describe.topicConfigs(admin, topics);
            describe.offsets(admin, policies, topics);
            describe.records(policies, topics);
            describe.groups(admin);
            describe.cluster(admin);
        }
        return describe.lines;
    }

    private void add(String kind, String line) {
        lines.computeIfAbsent(kind, any -> new ArrayList<>()).add(line);
    }

    private Map<String, TopicDescription> topics(Admin admin) throws Exception {
        Collection<String> names = admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get();
        Map<String, TopicDescription> all = new TreeMap<>(admin.describeTopics(names).allTopicNames().get());
        all.values().forEach(topic -> {
            add("topics", topic.name() + " " + topic.topicId() + (topic.isInternal() ? " internal" : ""));
            topic.partitions().forEach(p -> add("topics", topic.name() + "-" + p.partition() + " leader "
                + p.leader().id() + " replicas " + p.replicas().stream().map(n -> n.id()).toList()
                + " isr " + p.isr().stream().map(n -> n.id()).toList()));
        });
        return all;
    }

    /** Every key with its value, and whether somebody set it for the topic; gives the policy of each topic. */
    private Map<String, String> topicConfigs(Admin admin, Map<String, TopicDescription> topics) throws Exception {
        List<ConfigResource> resources = topics.keySet().stream()
            .map(name -> new ConfigResource(ConfigResource.Type.TOPIC, name)).toList();
        Map<String, String> policies = new TreeMap<>();
        for (Map.Entry<ConfigResource, Config> one : admin.describeConfigs(resources).all().get().entrySet()) {
            String topic = one.getKey().name();
            policies.put(topic, one.getValue().get("cleanup.policy").value());
            for (ConfigEntry entry : one.getValue().entries()) {
                boolean own = entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG;
                add("configs", topic + " " + entry.name() + "=" + entry.value() + (own ? " (own)" : ""));
            }
        }
        return policies;
    }

    private void offsets(Admin admin, Map<String, String> policies, Map<String, TopicDescription> topics) throws Exception {
        Map<String, OffsetSpec> specs = new TreeMap<>(Map.of("first", OffsetSpec.earliest(), "end", OffsetSpec.latest()));
        TIMES.forEach(time -> specs.put("at " + time, OffsetSpec.forTimestamp(time)));
        for (Map.Entry<String, OffsetSpec> spec : specs.entrySet()) {
            // The first record of a time may be cleaned away.
            Map<TopicPartition, OffsetSpec> asked = partitions(topics).stream()
                .filter(p -> !spec.getKey().startsWith("at") || !policies.get(p.topic()).contains("compact"))
                .collect(Collectors.toMap(Function.identity(), any -> spec.getValue()));
            admin.listOffsets(asked).all().get().forEach((partition, offset) -> add("offsets",
                partition + " " + spec.getKey() + " " + offset.offset() + " " + offset.timestamp()));
        }
    }

    private static List<TopicPartition> partitions(Map<String, TopicDescription> topics) {
        // What the coordinators keep is told by their groups and transactions; their logs are compacted meanwhile.
        return topics.values().stream().filter(topic -> !topic.isInternal() && !topic.name().equals(Ledger.TOPIC))
            .flatMap(topic -> topic.partitions().stream().map(p -> new TopicPartition(topic.name(), p.partition())))
            .toList();
    }

    private void records(Map<String, String> policies, Map<String, TopicDescription> topics) {
        List<TopicPartition> partitions = partitions(topics);
        Map<String, String> newest = new TreeMap<>();
        for (ConsumerRecord<byte[], byte[]> record : read(bootstrap, partitions, "read_uncommitted")) {
            String place = record.topic() + "-" + record.partition();
            if (policies.get(record.topic()).contains("compact")) {
                // What is cleaned away, and when, is the broker's affair; the newest value of a key is not.
                String key = place + " " + text(record.key());
                if (record.value() == null) {
                    newest.remove(key);
                } else {
                    newest.put(key, line(place, record));
                }
            } else {
                add("records", line(place, record));
            }
        }
        newest.values().forEach(line -> add("records", line));
        for (ConsumerRecord<byte[], byte[]> record : read(bootstrap, partitions, "read_committed")) {
            if (!policies.get(record.topic()).contains("compact")) {
                add("committed records", record.topic() + "-" + record.partition() + " " + record.offset());
            }
        }
    }

    private static String line(String place, ConsumerRecord<byte[], byte[]> record) {
        StringBuilder headers = new StringBuilder();
        record.headers().forEach(header -> headers.append(header.key()).append('=').append(text(header.value())).append(','));
        return place + " " + record.offset() + " " + record.timestampType() + ":" + record.timestamp() + " epoch "
            + record.leaderEpoch().orElse(-1) + " " + text(record.key()) + " " + text(record.value()) + " " + headers;
    }

    private static String text(byte[] bytes) {
        if (bytes == null) {
            return "null";
        }
        if (bytes.length <= 40) {
            return "'" + new String(bytes, StandardCharsets.UTF_8) + "'";
        }
        CRC32 sum = new CRC32();
        sum.update(bytes);
        return bytes.length + " bytes " + Long.toHexString(sum.getValue());
    }

    /** Every record of the partitions, as an isolation level sees them. */
    static List<ConsumerRecord<byte[], byte[]>> read(String bootstrap, List<TopicPartition> partitions, String isolation) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("isolation.level", isolation);
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("max.poll.records", "100000");
        settings.put("fetch.max.wait.ms", "50");
        List<ConsumerRecord<byte[], byte[]>> all = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> consumer =
                 new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            long deadline = System.currentTimeMillis() + 60_000;
            while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
                Check.that(System.currentTimeMillis() < deadline, "the consumer does not reach the ends " + ends);
                consumer.poll(Duration.ofMillis(100)).forEach(all::add);
            }
        }
        return all;
    }

    private void groups(Admin admin) throws Exception {
        Collection<GroupListing> all = admin.listGroups().all().get();
        boolean next = apis.serve(ApiKeys.CONSUMER_GROUP_DESCRIBE);
        List<String> known = all.stream().filter(group -> next || group.type().orElse(null) != GroupType.CONSUMER)
            .map(GroupListing::groupId).toList();
        admin.describeConsumerGroups(known).all().get().values().forEach(group -> {
            String kind = group.type() == GroupType.CONSUMER ? "consumer groups" : "groups";
            add(kind, group.groupId() + " " + group.groupState() + " " + group.partitionAssignor());
            group.members().forEach(member -> add(kind, group.groupId() + " member " + member.consumerId() + " "
                + member.groupInstanceId().orElse("-") + " " + member.clientId() + " " + member.host() + " "
                + member.assignment().topicPartitions().stream().map(Object::toString).sorted().toList()));
        });
        for (GroupListing group : all) {
            admin.listConsumerGroupOffsets(group.groupId()).partitionsToOffsetAndMetadata().get().forEach((partition, offset) ->
                add("committed", group.groupId() + " " + partition + " " + offset.offset() + " epoch "
                    + offset.leaderEpoch().orElse(-1) + " '" + offset.metadata() + "'"));
        }
    }

    /** What not every broker serves: a kind without lines is compared when somebody serves it again. */
    private void cluster(Admin admin) throws Exception {
        List<ConfigResource> brokers = List.of(new ConfigResource(ConfigResource.Type.BROKER, "1"),
            new ConfigResource(ConfigResource.Type.BROKER, ""));
        lines.put("broker configs", new ArrayList<>());
        admin.describeConfigs(brokers).all().get().forEach((resource, config) -> config.entries().stream()
            .filter(entry -> entry.source() == ConfigEntry.ConfigSource.DYNAMIC_BROKER_CONFIG
                || entry.source() == ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG)
            .forEach(entry -> add("broker configs", resource.name() + " " + entry.name() + "=" + entry.value())));
        if (apis.serve(ApiKeys.DESCRIBE_CLIENT_QUOTAS)) {
            lines.put("quotas", new ArrayList<>());
            admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get()
                .forEach((entity, quota) -> add("quotas", entity + " " + new TreeMap<>(quota)));
        }
        if (apis.serve(ApiKeys.DESCRIBE_USER_SCRAM_CREDENTIALS)) {
            lines.put("users", new ArrayList<>());
            admin.describeUserScramCredentials().all().get().forEach((user, scram) -> add("users", user + " " + scram));
        }
        if (apis.serve(ApiKeys.UPDATE_FEATURES)) {
            new TreeMap<>(admin.describeFeatures().featureMetadata().get().finalizedFeatures())
                .forEach((name, level) -> add("features", name + " " + level.maxVersionLevel()));
        }
        if (apis.serve(ApiKeys.LIST_TRANSACTIONS)) {
            lines.put("transactions", new ArrayList<>());
            admin.listTransactions().all().get().forEach(one -> add("transactions",
                one.transactionalId() + " " + one.producerId() + " " + one.state()));
        }
    }
}
