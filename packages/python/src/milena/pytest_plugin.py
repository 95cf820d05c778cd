"""Fixtures for pytest; the plugin is there as soon as the package is installed.

`kafka_broker`  one broker for the session: with xdist one for each worker, on a port of its own
`kafka`         a fresh broker for one test
`kafka_topic`   the name of a new topic on `kafka_broker`
`kafka_config`  what `kafka_broker` is configured with; override it in conftest.py

`@pytest.mark.kafka(topics=["orders:3"], config={"log.retention.ms": -1})` is for `kafka`,
`@pytest.mark.kafka_topic(partitions=3, config={"cleanup.policy": "compact"})` for `kafka_topic`.
"""

from __future__ import annotations

import re
import uuid
from typing import Any, Dict, Iterator

import pytest

from ._broker import Broker


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "kafka(topics=[], config={}): what the broker of the fixture `kafka` is started with")
    config.addinivalue_line("markers", "kafka_topic(partitions=1, config={}): how the topic of `kafka_topic` is made")


@pytest.fixture(scope="session")
def kafka_config() -> Dict[str, Any]:
    """Keys of `server.properties` for `kafka_broker`."""
    return {}


@pytest.fixture(scope="session")
def kafka_broker(kafka_config: Dict[str, Any]) -> Iterator[Broker]:
    """One broker for the session."""
    with Broker(config=kafka_config) as broker:
        yield broker


@pytest.fixture
def kafka(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A fresh broker for one test."""
    marker = request.node.get_closest_marker("kafka")
    with Broker(**(marker.kwargs if marker else {})) as broker:
        yield broker


@pytest.fixture
def kafka_topic(kafka_broker: Broker, request: pytest.FixtureRequest) -> str:
    """The name of a new topic."""
    marker = request.node.get_closest_marker("kafka_topic")
    test = re.sub(r"[^A-Za-z0-9_-]+", "-", request.node.name)[:100]
    name = f"{test}-{uuid.uuid4().hex[:12]}"
    kafka_broker.create_topic(name, **(marker.kwargs if marker else {}))
    return name
