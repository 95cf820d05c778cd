package milena;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Administration BOOTSTRAP TAG: every call of Apache's Admin interface that is not about security, and not about groups of
 * the share and streams protocols, one after the other with its result. What differs from run to run is replaced, so that
 * the lines of two brokers can be compared. A call that fails where it should not ends it with an error.
 */
public final class Administration {
    private interface Call {
        KafkaFuture<?> start() throws Exception;
    }

    private static String tag;
    private static int failed;

    private static Object show(String name, String wrong, Call call) {
        String text;
        Object result = null;
        boolean right;
        try {
            result = call.start().get(30, TimeUnit.SECONDS);
            text = String.valueOf(result);
            right = wrong == null;
        } catch (Exception error) {
            Throwable cause = error.getCause() == null ? error : error.getCause();
            text = cause.getClass().getSimpleName() + ": " + cause.getMessage();
            right = wrong != null && text.contains(wrong);
        }
        failed += right ? 0 : 1;
        text = text.replace(tag, "TAG").replaceAll("127\\.0\\.0\\.1:\\d+", "ADDRESS").replaceAll("\\d{13,}", "TIME")
            .replaceAll("producerId=\\d+", "producerId=0")
            .replaceAll("(?i)(id=|Id=|Ids=)[\\w-]{22}", "$1ID").replaceAll("@[0-9a-f]{5,}", "").replaceAll("(Bytes|bytes|Size|size)=[^,)]*", "$1=0")
            .replaceAll("/[\\w./-]+", "DIR");
        System.out.println((right ? "" : "UNEXPECTED ") + "java " + name + " " + text.substring(0, Math.min(text.length(), 2000)));
        return result;
    }

    private static void show(String name, Call call) {
        show(name, null, call);
    }

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0];
        tag = args[1];
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("default.api.timeout.ms", "30000");
        try (Admin admin = Admin.create(settings)) {
            topics(admin, bootstrap);
            configs(admin);
            groups(admin);
            transactions(admin, bootstrap);
            cluster(admin);
            show("deleteTopics", () -> admin.deleteTopics(List.of(tag)).all());
            show("deleteTopics again", "UnknownTopicOrPartition", () -> admin.deleteTopics(List.of(tag)).all());
        }
        System.exit(failed == 0 ? 0 : 1);
    }

    private static Properties producer(String bootstrap) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("key.serializer", StringSerializer.class);
        settings.put("value.serializer", StringSerializer.class);
        return settings;
    }

    private static void topics(Admin admin, String bootstrap) throws Exception {
        NewTopic topic = new NewTopic(tag, 2, (short) 1).configs(Map.of("retention.ms", "1000000"));
        show("createTopics validate", () -> admin.createTopics(List.of(topic), new CreateTopicsOptions().validateOnly(true)).numPartitions(tag));
        show("createTopics", () -> admin.createTopics(List.of(topic)).numPartitions(tag));
        show("createTopics again", "TopicExists", () -> admin.createTopics(List.of(topic)).all());
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(producer(bootstrap))) {
            for (int n = 0; n < 10; n++) {
                producer.send(new ProducerRecord<>(tag, 0, 1_700_000_000_000L + n * 1000, null, "v" + n)).get();
            }
        }
        show("listTopics", () -> admin.listTopics().names().thenApply(names -> names.contains(tag)));
        show("describeTopics", () -> admin.describeTopics(List.of(tag)).allTopicNames());
        show("createPartitions", () -> admin.createPartitions(Map.of(tag, NewPartitions.increaseTo(3))).all());
        show("createPartitions fewer", "InvalidPartitions", () -> admin.createPartitions(Map.of(tag, NewPartitions.increaseTo(1))).all());
        TopicPartition first = new TopicPartition(tag, 0);
        for (OffsetSpec spec : List.of(OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.maxTimestamp(), OffsetSpec.forTimestamp(1_700_000_004_500L),
            OffsetSpec.earliestLocal(), OffsetSpec.latestTiered())) {
            show("listOffsets " + spec.getClass().getSimpleName(), () -> admin.listOffsets(Map.of(first, spec)).all());
        }
        show("deleteRecords", () -> admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(first).thenApply(DeletedRecords::lowWatermark));
        show("deleteRecords beyond", "OffsetOutOfRange", () -> admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(400))).all());
        show("describeProducers", () -> admin.describeProducers(List.of(new TopicPartition(tag, 1))).all());
        show("electLeaders", () -> admin.electLeaders(ElectionType.PREFERRED, Set.of(first)).partitions());
        show("alterPartitionReassignments", () -> admin.alterPartitionReassignments(Map.of(first, Optional.of(new NewPartitionReassignment(List.of(1))))).all());
        show("alterPartitionReassignments cancel", "NoReassignmentInProgress", () -> admin.alterPartitionReassignments(Map.of(first, Optional.empty())).all());
        show("listPartitionReassignments", () -> admin.listPartitionReassignments().reassignments());
    }

    private static void configs(Admin admin) {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, tag);
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
        ConfigResource loggers = new ConfigResource(ConfigResource.Type.BROKER_LOGGER, "1");
        ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, tag);
        ConfigResource metrics = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, tag);
        show("describeConfigs topic", () -> admin.describeConfigs(List.of(topic)).values().get(topic).thenApply(config -> config.get("retention.ms")));
        show("describeConfigs broker", () -> admin.describeConfigs(List.of(broker)).values().get(broker).thenApply(config -> config.entries().size() > 200));
        show("describeConfigs loggers", () -> admin.describeConfigs(List.of(loggers)).values().get(loggers).thenApply(config -> config.get("root")));
        show("describeConfigs group", () -> admin.describeConfigs(List.of(group)).values().get(group).thenApply(config -> config.get("consumer.session.timeout.ms")));
        show("describeConfigs metrics", () -> admin.describeConfigs(List.of(metrics)).values().get(metrics).thenApply(config -> config.get("interval.ms")));
        alter(admin, "topic", topic, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND, null);
        alter(admin, "topic wrong", topic, "retention.ms", "x", AlterConfigOp.OpType.SET, "InvalidConfiguration");
        alter(admin, "broker", broker, "message.max.bytes", "2000000", AlterConfigOp.OpType.SET, null);
        alter(admin, "broker back", broker, "message.max.bytes", null, AlterConfigOp.OpType.DELETE, null);
        alter(admin, "broker fixed", broker, "log.dirs", "x", AlterConfigOp.OpType.SET, "InvalidRequest");
        alter(admin, "loggers", loggers, "root", "INFO", AlterConfigOp.OpType.SET, null);
        alter(admin, "loggers level", loggers, "root", "LOUD", AlterConfigOp.OpType.SET, "Valid log levels are");
        alter(admin, "loggers unknown", loggers, "no.such.logger", "INFO", AlterConfigOp.OpType.SET, "does not exist!");
        alter(admin, "loggers root", loggers, "root", null, AlterConfigOp.OpType.DELETE, "not allowed");
        alter(admin, "loggers append", loggers, "root", "INFO", AlterConfigOp.OpType.APPEND, "not allowed");
        alter(admin, "group", group, "consumer.session.timeout.ms", "50000", AlterConfigOp.OpType.SET, null);
        alter(admin, "metrics", metrics, "interval.ms", "5000", AlterConfigOp.OpType.SET, null);
        show("describeConfigs topic after", () -> admin.describeConfigs(List.of(topic)).values().get(topic).thenApply(config -> config.get("cleanup.policy")));
        for (ConfigResource.Type type : List.of(ConfigResource.Type.BROKER, ConfigResource.Type.BROKER_LOGGER)) {
            show("listConfigResources " + type, () -> admin.listConfigResources(Set.of(type), new ListConfigResourcesOptions()).all());
        }
        show("listConfigResources", () -> admin.listConfigResources().all().thenApply(all -> all.containsAll(List.of(topic, broker, loggers, group, metrics))));
        alter(admin, "group back", group, "consumer.session.timeout.ms", null, AlterConfigOp.OpType.DELETE, null);
        alter(admin, "metrics back", metrics, "interval.ms", null, AlterConfigOp.OpType.DELETE, null);
    }

    private static void alter(Admin admin, String name, ConfigResource resource, String key, String value, AlterConfigOp.OpType type, String wrong) {
        AlterConfigOp op = new AlterConfigOp(new ConfigEntry(key, value), type);
        show("incrementalAlterConfigs " + name, wrong, () -> admin.incrementalAlterConfigs(Map.of(resource, List.of(op))).all());
    }

    private static void groups(Admin admin) {
        String group = tag + "-group";
        TopicPartition first = new TopicPartition(tag, 0);
        show("alterConsumerGroupOffsets", () -> admin.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(6))).all());
        show("listConsumerGroupOffsets", () -> admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
        show("listGroups", () -> admin.listGroups().all().thenApply(all -> all.stream().anyMatch(one -> one.groupId().equals(group))));
        show("listConsumerGroups", () -> admin.listConsumerGroups().all().thenApply(all -> all.stream().anyMatch(one -> one.groupId().equals(group))));
        show("describeConsumerGroups", () -> admin.describeConsumerGroups(List.of(group)).all());
        show("describeConsumerGroups none", "GroupIdNotFound", () -> admin.describeConsumerGroups(List.of(group + "-none")).all());
        show("describeClassicGroups", () -> admin.describeClassicGroups(List.of(group)).all());
        show("removeMembersFromConsumerGroup", "UnknownMemberId",
            () -> admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("nobody")))).all());
        show("deleteConsumerGroupOffsets", () -> admin.deleteConsumerGroupOffsets(group, Set.of(first)).all());
        show("deleteConsumerGroups", () -> admin.deleteConsumerGroups(List.of(group)).all());
        // Calls for groups of Kafka Streams take any group that keeps offsets.
        String words = tag + "-words";
        show("alterStreamsGroupOffsets", () -> admin.alterStreamsGroupOffsets(words, Map.of(first, new OffsetAndMetadata(7))).all());
        ListStreamsGroupOffsetsSpec all = new ListStreamsGroupOffsetsSpec();
        show("listStreamsGroupOffsets", () -> admin.listStreamsGroupOffsets(Map.of(words, all)).partitionsToOffsetAndMetadata(words));
        show("deleteStreamsGroupOffsets", () -> admin.deleteStreamsGroupOffsets(words, Set.of(first)).all());
        show("deleteStreamsGroups", () -> admin.deleteStreamsGroups(List.of(words)).all());
        show("deleteConsumerGroups again", "GroupIdNotFound", () -> admin.deleteConsumerGroups(List.of(group)).all());
    }

    private static void transactions(Admin admin, String bootstrap) throws Exception {
        String id = tag + "-transaction";
        Properties settings = producer(bootstrap);
        settings.put("transactional.id", id);
        TopicPartition second = new TopicPartition(tag, 1);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(tag, 1, "key", "in a transaction")).get();
            show("describeTransactions", () -> admin.describeTransactions(List.of(id)).description(id).thenApply(TransactionDescription::state));
            show("listTransactions", () -> admin.listTransactions(new ListTransactionsOptions().filterOnTransactionalIdPattern(Pattern.quote(id))).all()
                .thenApply(all -> all.stream().map(TransactionListing::state).toList()));
            ProducerState state = admin.describeProducers(List.of(second)).partitionResult(second).get().activeProducers().get(0);
            AbortTransactionSpec spec = new AbortTransactionSpec(second, state.producerId(), (short) state.producerEpoch(), state.coordinatorEpoch().orElse(0));
            show("fenceProducers", () -> admin.fenceProducers(List.of(id)).all());
            show("abortTransaction", "InvalidProducerEpoch", () -> admin.abortTransaction(spec).all());
            show("forceTerminateTransaction", () -> admin.forceTerminateTransaction(id).result());
            producer.close(Duration.ZERO);
        }
    }

    private static void cluster(Admin admin) {
        show("describeCluster", () -> admin.describeCluster().nodes().thenApply(List::copyOf).thenApply(List::size));
        show("describeFeatures", () -> admin.describeFeatures().featureMetadata().thenApply(features -> features.finalizedFeatures().containsKey("metadata.version")));
        show("updateFeatures", "InvalidUpdateVersion", () -> admin.updateFeatures(
            Map.of("no.such.feature", new FeatureUpdate((short) 1, FeatureUpdate.UpgradeType.UPGRADE)), new UpdateFeaturesOptions()).all());
        show("describeMetadataQuorum", () -> admin.describeMetadataQuorum().quorumInfo().thenApply(QuorumInfo::leaderId));
        show("describeLogDirs", () -> admin.describeLogDirs(List.of(1)).allDescriptions().thenApply(all -> all.get(1).size()));
        TopicPartitionReplica replica = new TopicPartitionReplica(tag, 0, 1);
        show("describeReplicaLogDirs", () -> admin.describeReplicaLogDirs(List.of(replica)).all().thenApply(Map::size));
        show("alterReplicaLogDirs", "LogDirNotFound", () -> admin.alterReplicaLogDirs(Map.of(replica, "/no/such/directory")).all());
        show("unregisterBroker", "BrokerIdNotRegistered", () -> admin.unregisterBroker(99).all());
        ClientQuotaEntity entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, tag));
        show("alterClientQuotas", () -> admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1e9))))).all());
        show("describeClientQuotas", () -> admin.describeClientQuotas(ClientQuotaFilter.containsOnly(List.of(ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.CLIENT_ID, tag)))).entities());
        show("alterClientQuotas back", () -> admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", null))))).all());
        RaftVoterEndpoint endpoint = new RaftVoterEndpoint("CONTROLLER", "localhost", 9);
        show("addRaftVoter", "UnsupportedVersion", () -> admin.addRaftVoter(2, Uuid.ONE_UUID, Set.of(endpoint)).all());
        show("removeRaftVoter", "UnsupportedVersion", () -> admin.removeRaftVoter(2, Uuid.ONE_UUID).all());
        show("listConfigResources", () -> admin.listConfigResources().all().thenApply(all -> all.stream().anyMatch(one -> one.name().equals(tag))));
        show("listClientMetricsResources", () -> admin.listClientMetricsResources().all());
        show("clientInstanceId", "Telemetry is not enabled", () -> KafkaFuture.completedFuture(admin.clientInstanceId(Duration.ofSeconds(10))));
        show("metrics", () -> KafkaFuture.completedFuture(!admin.metrics().isEmpty()));
    }
}
