import pytest

TESTS = """
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

def partitions(servers, topic):
    admin = KafkaAdminClient(bootstrap_servers=servers)
    found = len(admin.describe_topics([topic])[0]["partitions"])
    admin.close()
    return found

@pytest.fixture(scope="session")
def kafka_config():
    return {"num.partitions": 7}

@pytest.mark.parametrize("n", range(4))
def test_each_has_a_topic(kafka_broker, kafka_topic, n):
    producer = KafkaProducer(bootstrap_servers=kafka_broker.bootstrap_servers)
    producer.send(kafka_topic, b"%d" % n)
    producer.flush()
    consumer = KafkaConsumer(kafka_topic, bootstrap_servers=kafka_broker.bootstrap_servers,
                             auto_offset_reset="earliest")
    assert next(consumer).value == b"%d" % n
    assert partitions(kafka_broker.bootstrap_servers, kafka_topic) == 1

@pytest.mark.kafka_topic(partitions=-1)
def test_the_default_is_that_of_the_broker(kafka_broker, kafka_topic):
    assert partitions(kafka_broker.bootstrap_servers, kafka_topic) == 7

@pytest.mark.kafka(topics=["mine:3"])
def test_a_broker_for_one_test(kafka, kafka_broker):
    assert kafka.port != kafka_broker.port
    assert partitions(kafka.bootstrap_servers, "mine") == 3
"""


@pytest.mark.parametrize("options", [[], ["-n", "2"]], ids=["one process", "xdist"])
def test_fixtures(pytester, options):
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("--strict-markers", *options)
    result.assert_outcomes(passed=6)
