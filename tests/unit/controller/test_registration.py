"""ControllerRegistration: who may, what is on record, and that every controller of a quorum is."""

from __future__ import annotations

from pybroker.metadata.image import ControllerImage, EndpointImage
from pybroker.wire.messages.controller_registration import (
    ControllerRegistrationRequest,
    Feature,
    Listener,
)
from tests.several_brokers import CONTROLLER_PORT, Cluster
from tests.unit.controller.harness import Harness

UNSUPPORTED_VERSION, NOT_CONTROLLER = 35, 41


def request():
    return ControllerRegistrationRequest(
        controller_id=2,
        incarnation_id=b"2" * 16,
        listeners=[Listener(name="CONTROLLER", host="h2", port=9093, security_protocol=0)],
        features=[
            Feature(name="metadata.version", min_supported_version=7, max_supported_version=30),
            Feature(name="kraft.version", min_supported_version=0, max_supported_version=1),
        ],
    )


def test_the_record_is_what_the_controller_says():
    harness = Harness()
    answer = harness.controller.register_controller(request()).value
    assert (answer.error_code, answer.error_message) == (0, "")
    assert harness.image.controllers[2] == ControllerImage(
        2,
        b"2" * 16,
        (EndpointImage("CONTROLLER", "h2", 9093, 0),),
        (("kraft.version", 0, 1), ("metadata.version", 7, 30)),
    )


def test_refusals():
    assert Harness(start=False).controller.register_controller(request()).value.error_code == NOT_CONTROLLER
    old = Harness(options={"features": {"metadata.version": 14}})
    answer = old.controller.register_controller(request()).value
    assert answer.error_code == UNSUPPORTED_VERSION
    assert "too old" in answer.error_message
    assert list(old.image.controllers) == [1]


def test_every_controller_of_a_quorum_is_on_record_after_each_start():
    cluster = Cluster(3).start()
    nodes = cluster.nodes

    def registered(count=3):
        return all(len(node.image.controllers) == count for node in cluster.alive)

    cluster.run(10_000, until=registered)
    before = dict(nodes[1].image.controllers)
    assert {c.endpoints[0].port for c in before.values()} == {CONTROLLER_PORT}
    follower = next(number for number, node in nodes.items() if node is not cluster.active)
    leader = cluster.active
    nodes[follower].kill()
    cluster.run(1_000)
    nodes[follower].start()
    cluster.run(20_000, until=lambda: leader.image.controllers[follower] != before[follower])
    after = leader.image.controllers
    assert after[follower].incarnation_id != before[follower].incarnation_id
    assert {n: c for n, c in after.items() if n != follower} == {
        n: c for n, c in before.items() if n != follower
    }
    # Nobody goes on asking.
    offset = cluster.active.image.offset
    records = list(cluster.active.image.controllers.values())
    cluster.run(5_000)
    assert list(cluster.active.image.controllers.values()) == records
    assert cluster.active.image.offset <= offset + 10
