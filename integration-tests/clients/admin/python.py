"""python.py confluent|kafka_python BOOTSTRAP TAG: the calls of two admin clients that are not about security.

One call after the other with its result, what differs from run to run replaced. A call that fails where it should not
ends it with an error.
"""
import re
import sys

client, bootstrap, tag = sys.argv[1:]
failed = 0


def show(name, call, wrong=None):
    global failed
    result, text = None, ""
    try:
        result = call()
        text, right = str(result), wrong is None
    except Exception as error:  # whatever a library raises is its result
        text = f"{type(error).__name__}: {error}"
        right = wrong is not None and wrong in text
    failed += not right
    text = re.sub(r"\d{13,}", "TIME", text.replace(tag, "TAG").replace(bootstrap, "ADDRESS"))
    text = re.sub(r"0x[0-9a-f]+", "AT", text)
    print(f"{'' if right else 'UNEXPECTED '}{client} {name} {text[:1000]}")
    return result


def confluent():
    from confluent_kafka import ConsumerGroupTopicPartitions, ElectionType, Producer, TopicPartition
    from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                       OffsetSpec, ResourceType)
    from confluent_kafka import ConsumerGroupState, TopicCollection

    admin = AdminClient({"bootstrap.servers": bootstrap})
    one = lambda futures: next(iter(futures.values())).result(30)
    show("create_topics", lambda: one(admin.create_topics([NewTopic(tag, 2, 1, config={"retention.ms": "1000000"})])))
    show("create_topics again", lambda: one(admin.create_topics([NewTopic(tag, 2, 1)])), "TOPIC_ALREADY_EXISTS")
    producer = Producer({"bootstrap.servers": bootstrap})
    for number in range(10):
        producer.produce(tag, f"v{number}", partition=0, timestamp=1_700_000_000_000 + number * 1000)
    show("flush", lambda: producer.flush(30))
    show("list_topics", lambda: sorted(admin.list_topics(tag, timeout=30).topics[tag].partitions))
    show("describe_topics", lambda: len(one(admin.describe_topics(TopicCollection([tag]))).partitions))
    show("create_partitions", lambda: one(admin.create_partitions([NewPartitions(tag, 3)])))
    show("create_partitions fewer", lambda: one(admin.create_partitions([NewPartitions(tag, 1)])), "INVALID_PARTITIONS")
    for name, spec in ("earliest", OffsetSpec.earliest()), ("latest", OffsetSpec.latest()), ("time", OffsetSpec.for_timestamp(1_700_000_004_500)):
        show(f"list_offsets {name}", lambda: one(admin.list_offsets({TopicPartition(tag, 0): spec})).offset)
    show("delete_records", lambda: one(admin.delete_records([TopicPartition(tag, 0, 4)])).low_watermark)
    show("elect_leaders", lambda: admin.elect_leaders(ElectionType.PREFERRED, [TopicPartition(tag, 0)]).result(30)[TopicPartition(tag, 0)].code())
    for kind, name, key, value in (("TOPIC", tag, "retention.ms", "2000000"), ("BROKER", "1", "message.max.bytes", "1048588")):
        resource = ConfigResource(ResourceType[kind], name)
        show(f"describe_configs {kind}", lambda: one(admin.describe_configs([resource]))[key].value)
        resource = ConfigResource(ResourceType[kind], name, incremental_configs=[ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)])
        show(f"incremental_alter_configs {kind}", lambda: one(admin.incremental_alter_configs([resource])))
    resource = ConfigResource(ResourceType.TOPIC, tag, set_config={"retention.ms": "3000000"})
    show("alter_configs", lambda: one(admin.alter_configs([resource])))
    resource = ConfigResource(ResourceType.TOPIC, tag, set_config={"retention.ms": "x"})
    show("alter_configs wrong", lambda: one(admin.alter_configs([resource])), "INVALID_CONFIG")
    group = f"{tag}-group"
    offsets = ConsumerGroupTopicPartitions(group, [TopicPartition(tag, 0, 6)])
    show("alter_consumer_group_offsets", lambda: [p.offset for p in one(admin.alter_consumer_group_offsets([offsets])).topic_partitions])
    asked = ConsumerGroupTopicPartitions(group)
    show("list_consumer_group_offsets", lambda: [p.offset for p in one(admin.list_consumer_group_offsets([asked])).topic_partitions])
    listed = lambda: admin.list_consumer_groups(states={ConsumerGroupState.EMPTY}).result(30).valid
    show("list_consumer_groups", lambda: group in [found.group_id for found in listed()])
    show("describe_consumer_groups", lambda: str(one(admin.describe_consumer_groups([group])).state))
    show("delete_consumer_groups", lambda: one(admin.delete_consumer_groups([group])))
    show("delete_consumer_groups again", lambda: one(admin.delete_consumer_groups([group])), "GROUP_ID_NOT_FOUND")
    show("describe_cluster", lambda: len(admin.describe_cluster().result(30).nodes))
    show("delete_topics", lambda: one(admin.delete_topics([tag])))
    show("delete_topics again", lambda: one(admin.delete_topics([tag])), "UNKNOWN_TOPIC_OR_PART")


def kafka_python():
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.admin import AbortTransactionSpec, ConfigResource, ConfigResourceType, MemberToRemove, NewPartitions, NewTopic, OffsetSpec
    from kafka.structs import OffsetAndMetadata

    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    partition, group = TopicPartition(tag, 0), f"{tag}-group"
    show("create_topics", lambda: len(admin.create_topics([NewTopic(tag, 2, 1)]) or ()) >= 0)
    show("create_topics again", lambda: admin.create_topics([NewTopic(tag, 2, 1)]), "TopicAlreadyExists")
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for number in range(10):
        producer.send(tag, b"value", partition=0, timestamp_ms=1_700_000_000_000 + number * 1000)
    show("flush", producer.flush)
    show("list_topics", lambda: tag in admin.list_topics())
    show("wait_for_topics", lambda: admin.wait_for_topics([tag]))
    show("describe_topics", lambda: len(admin.describe_topics([tag])))
    show("describe_topic_partitions", lambda: admin.describe_topic_partitions([tag]) is not None)
    show("create_partitions", lambda: admin.create_partitions({tag: NewPartitions(3)}) is not None)
    topic = lambda **settings: ConfigResource(ConfigResourceType.TOPIC, tag, **settings)
    show("alter_configs", lambda: admin.alter_configs([topic(configs={"retention.ms": "2000000"})]) is not None)
    show("describe_configs", lambda: admin.describe_configs([topic()]) is not None)
    show("reset_configs", lambda: admin.reset_configs([topic(configs={"retention.ms": None})]) is not None)
    show("list_config_resources", lambda: admin.list_config_resources() is not None)
    show("delete_records", lambda: admin.delete_records({partition: 4}) is not None)
    show("elect_leaders", lambda: admin.elect_leaders(0, {tag: [0]}, raise_errors=False) is not None)
    offset = lambda spec: admin.list_partition_offsets({partition: spec})[partition].offset
    show("list_partition_offsets", lambda: [offset(spec) for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST, 1_700_000_007_500)])
    show("alter_partition_reassignments", lambda: {str(p): error for p, error in admin.alter_partition_reassignments({partition: [1]}).items()})
    show("alter_partition_reassignments impossible", lambda: admin.alter_partition_reassignments({partition: [7]})[partition].__name__)
    show("list_partition_reassignments", admin.list_partition_reassignments)
    show("describe_producers", lambda: admin.describe_producers([partition]) is not None)
    show("alter_group_offsets", lambda: admin.alter_group_offsets(group, {partition: OffsetAndMetadata(6, "", -1)}) is not None)
    show("reset_group_offsets", lambda: admin.reset_group_offsets(group, {partition: OffsetSpec.LATEST})[partition]["offset"])
    show("list_group_offsets", lambda: [o.offset for o in admin.list_group_offsets({group: None})[group].values()])
    show("list_groups", lambda: admin.list_groups() is not None)
    show("describe_groups", lambda: admin.describe_groups([group]) is not None)
    show("delete_group_offsets", lambda: admin.delete_group_offsets(group, [partition]) is not None)
    show("delete_groups", lambda: admin.delete_groups([group]) is not None)
    member = KafkaConsumer(tag, bootstrap_servers=bootstrap, group_id=f"{tag}-members", group_instance_id="one")
    while not member.assignment():
        member.poll(timeout_ms=100)
    remove = lambda name: [error.__name__ for error in admin.remove_group_members(f"{tag}-members", [MemberToRemove(group_instance_id=name)]).values()]
    show("remove_group_members", lambda: remove("one"))
    show("remove_group_members unknown", lambda: remove("two"))
    show("describe_cluster", lambda: len(admin.describe_cluster()["brokers"]))
    dirs = show("describe_log_dirs", lambda: [broker["log_dirs"] for broker in admin.describe_log_dirs()])
    show("alter_replica_log_dirs", lambda: [error.__name__ for error in admin.alter_replica_log_dirs({(tag, 0, 1): dirs[0][0]["log_dir"]}).values()])
    show("alter_replica_log_dirs elsewhere", lambda: [error.__name__ for error in admin.alter_replica_log_dirs({(tag, 0, 1): "/nowhere"}).values()])
    show("describe_features", lambda: admin.describe_features() is not None)
    level = admin.describe_features()["metadata.version"]["finalized"][1]
    show("update_features", lambda: admin.update_features({"metadata.version": level}, validate_only=True))
    show("describe_metadata_quorum", lambda: admin.describe_metadata_quorum() is not None)
    open_producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=tag)
    open_producer.init_transactions()
    open_producer.begin_transaction()
    open_producer.send(tag, b"open", partition=0).get(30)
    show("describe_transactions", lambda: admin.describe_transactions([tag])[tag].state.value)
    show("describe_transactions unknown", lambda: admin.describe_transactions(["nobody"]), "TransactionalIdNotFound")
    found = admin.describe_producers([partition])[partition].active_producers[0]
    show("abort_transaction", lambda: admin.abort_transaction(AbortTransactionSpec(partition, found.producer_id, found.producer_epoch)))
    still = lambda: admin.describe_producers([partition])[partition].active_producers[0].current_transaction_start_offset
    show("describe_producers after it", still)
    show("list_transactions", lambda: admin.list_transactions() is not None)
    show("find_hanging_transactions", admin.find_hanging_transactions)
    show("api_versions", lambda: len(admin.api_versions()) > 40)
    show("delete_topics", lambda: admin.delete_topics([tag]) is not None)
    show("delete_topics again", lambda: admin.delete_topics([tag]), "UnknownTopicOrPartition")


{"confluent": confluent, "kafka_python": kafka_python}[client]()
sys.exit(failed > 0)
