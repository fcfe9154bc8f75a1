"""kafka-python's lost subscription, and the correction that the tests here run it with."""

from __future__ import annotations

import pytest
from kafka.cluster import ClusterMetadata
from kafka.protocol.metadata import MetadataResponse

from tests.clients.kafka_python_metadata import corrected


def needs_update_after_race(kind: type[ClusterMetadata], *, subscribed_late: bool) -> bool:
    """Whether the client still wants metadata after a response to a request older than its subscription."""
    cluster = kind(bootstrap_servers=["127.0.0.1:1"])
    if not subscribed_late:
        cluster.set_topics(["subscribed"])
    cluster.metadata_request()
    cluster.set_topics(["subscribed"])
    broker = {"node_id": 0, "host": "127.0.0.1", "port": 1, "rack": None}
    response = MetadataResponse(
        version=9, throttle_time_ms=0, brokers=[broker], cluster_id="cluster", controller_id=0, topics=[]
    )
    cluster.update_metadata(response)
    return bool(cluster.need_update)


@pytest.fixture
def with_correction() -> type[ClusterMetadata]:
    return type("Corrected", (ClusterMetadata,), corrected(ClusterMetadata))


def test_the_correction_asks_again_after_a_subscription_during_a_request(
    with_correction: type[ClusterMetadata],
) -> None:
    assert needs_update_after_race(with_correction, subscribed_late=True)


def test_the_correction_leaves_the_usual_case_alone(with_correction: type[ClusterMetadata]) -> None:
    assert not needs_update_after_race(with_correction, subscribed_late=False)
