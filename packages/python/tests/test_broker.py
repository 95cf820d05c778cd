import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

import milena


def roundtrip(servers, topic, count):
    producer = KafkaProducer(bootstrap_servers=servers)
    for n in range(count):
        producer.send(topic, str(n).encode(), key=str(n).encode())
    producer.flush()
    producer.close()
    consumer = KafkaConsumer(topic, bootstrap_servers=servers, group_id="readers", auto_offset_reset="earliest")
    values = {int(next(consumer).value) for _ in range(count)}
    consumer.close()
    return values


def test_a_client_is_served():
    with milena.Broker(topics=["orders:3"], config={"auto.create.topics.enable": False}) as broker:
        assert roundtrip(broker.bootstrap_servers, "orders", 20) == set(range(20))
        assert broker.bootstrap_servers == f"127.0.0.1:{broker.port}"
        directory = Path(broker.data_dir)
        assert (directory / "orders-2").is_dir()
        assert "orders" in broker.log
    assert not directory.exists()
    with pytest.raises(milena.BrokerError, match="does not run"):
        broker.port


def test_several_at_once_and_again():
    first, second = milena.Broker(), milena.Broker(topics=["only-here"])
    with first, second:
        assert first.port != second.port and first.cluster_id != second.cluster_id
        with pytest.raises(milena.BrokerError, match="runs already"):
            first.start()
    with first:
        socket.create_connection(("127.0.0.1", first.port)).close()


def test_a_directory_that_is_kept(tmp_path):
    with milena.Broker(data_dir=tmp_path, topics=["kept"]) as broker:
        cluster_id = broker.cluster_id
    with milena.Broker(data_dir=tmp_path) as broker:
        assert broker.cluster_id == cluster_id
        assert (tmp_path / "kept-0").is_dir()


def test_topics_are_made_with_their_settings():
    with milena.Broker() as broker:
        broker.create_topic("prices", partitions=4, config={"cleanup.policy": "compact", "preallocate": True})
        broker.create_topic("prices")
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        assert len(admin.describe_topics(["prices"])[0]["partitions"]) == 4
        [answer] = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "prices")])
        configs = {entry[0]: entry[1] for entry in answer.resources[0][4]}
        assert configs["cleanup.policy"] == "compact" and configs["preallocate"] == "true"
        admin.close()
        with pytest.raises(milena.BrokerError, match="topic a b: "):
            broker.create_topic("a b")


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"config": {"num.partitions": "many"}}, "num.partitions"),
        ({"topics": ["a:0"]}, "at least 1"),
        ({"data_dir": "/proc/nowhere"}, "/proc/nowhere"),
        ({"data_dir": "/tmp/a,b"}, "comma"),
    ],
)
def test_what_the_broker_says_when_it_does_not_start(arguments, said):
    broker = milena.Broker(**arguments)
    with pytest.raises(milena.BrokerError, match=said):
        broker.start()
    broker.stop()


def test_a_broker_ends_with_a_program_that_is_killed():
    program = (
        "import milena, sys, signal\n"
        "broker = milena.Broker().start()\n"
        "print(broker.pid, broker.data_dir, flush=True)\n"
        "signal.pause()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    pid, directory = child.stdout.readline().split()
    handle = os.pidfd_open(int(pid))
    child.send_signal(signal.SIGKILL)
    child.wait()
    import select

    assert select.select([handle], [], [], 60)[0], "the broker is still there"
    os.close(handle)
    assert not Path(directory).exists()


def test_the_environment_does_not_reach_it(monkeypatch):
    monkeypatch.setenv("KAFKA_NUM_PARTITIONS", "nonsense")
    with milena.Broker() as broker:
        assert broker.port


def test_the_command():
    output = subprocess.run([Path(sys.executable).parent / "milena", "--version"], capture_output=True, text=True)
    assert output.stdout.startswith("milena 0.1.0")
