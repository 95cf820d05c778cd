"""An Apache Kafka compatible broker for tests.

    with milena.Broker(topics=["orders:3"]) as broker:
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
"""

from ._broker import Broker, BrokerError

__all__ = ["Broker", "BrokerError"]
__version__ = "0.1.0"
