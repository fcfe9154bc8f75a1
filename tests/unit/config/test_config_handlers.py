"""The handlers of configuration, log directories, cluster and telemetry, with rooms made of plain values."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pybroker.common.clock import ManualClock
from pybroker.common.config import BrokerConfig
from pybroker.common.errors import ErrorCode
from pybroker.handlers import (
    describe_cluster,
    describe_configs,
    describe_log_dirs,
    get_telemetry_subscriptions,
    list_config_resources,
    push_telemetry,
)
from pybroker.handlers.context import Connection, Request
from pybroker.handlers.registry import Routes
from pybroker.handlers.telemetry import ClientTelemetry
from pybroker.log.manager import LogDirReport, LogSize
from pybroker.metadata.image import BrokerImage, EndpointImage
from pybroker.records.validation import WalkPolicy
from pybroker.wire import codec
from pybroker.wire.messages.describe_cluster import DescribeClusterRequest
from pybroker.wire.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from pybroker.wire.messages.describe_log_dirs import DescribableLogDirTopic, DescribeLogDirsRequest
from pybroker.wire.messages.get_telemetry_subscriptions import GetTelemetrySubscriptionsRequest
from pybroker.wire.messages.list_config_resources import ListConfigResourcesRequest
from pybroker.wire.messages.push_telemetry import PushTelemetryRequest


class Image(SimpleNamespace):
    def config(self, resource_type, name):
        return self.configs.get((resource_type, name), {})


@pytest.fixture
def context():
    reports = [
        LogDirReport(
            ErrorCode.NONE,
            "/a",
            1000,
            500,
            [LogSize("t", 0, 7, 0, False), LogSize("t", 1, 8, 0, False), LogSize("u", 0, 9, 0, False)],
        ),
        LogDirReport(ErrorCode.KAFKA_STORAGE_ERROR, "/b", -1, -1, []),
    ]
    return SimpleNamespace(
        config=BrokerConfig.from_properties({"log.dirs": "/a,/b", "broker.rack": "r"}),
        metadata=Image(
            topics={"u": None, "t": None},
            cluster_id="a cluster",
            brokers={
                1: BrokerImage(
                    1, 5, bytes(16), (EndpointImage("PLAINTEXT", "h", 9, 0),), (), "r", False, False, ()
                )
            },
            configs={
                (2, "t"): {"retention.ms": "5"},
                (4, ""): {"min.insync.replicas": "1"},
                (4, "1"): {"cordoned.log.dirs": "/b"},
                (16, "m"): {"interval.ms": "1000"},
                (16, "gone"): {},
                (32, "g"): {"consumer.session.timeout.ms": "50000"},
            },
        ),
        logs=SimpleNamespace(log_dirs_report=lambda: reports),
        broker_id=1,
        cluster_id="a cluster",
        endpoints={"PLAINTEXT": ("h", 9)},
        clock=ManualClock(),
        telemetry=ClientTelemetry(),
    )


def ask(handler, context, message, version):
    routes = Routes(controller=False)
    connection = Connection("p", 5, "PLAINTEXT", WalkPolicy(), context.clock.wall_ms, routes)
    response = handler.handle(context, Request(0, version, "a-client", message, connection))
    # Whatever a handler answers must have a form on the wire.
    assert codec.encode(response, version)
    return response


class TestDescribeConfigs:
    def describe(self, context, *resources, version=4, **options):
        message = DescribeConfigsRequest(
            resources=[
                DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=keys)
                for kind, name, keys in resources
            ],
            **options,
        )
        return ask(describe_configs, context, message, version).results

    @pytest.mark.parametrize("version", [1, 2, 3, 4])
    def test_every_kind_of_resource(self, context, version):
        kinds = [(2, "t"), (4, "1"), (4, ""), (32, "g"), (16, "m"), (8, "1")]
        results = self.describe(context, *((kind, name, None) for kind, name in kinds), version=version)
        assert [(result.error_code, result.error_message) for result in results] == [(0, "")] * 6
        assert [(result.resource_type, result.resource_name) for result in results] == kinds
        assert [len(result.configs) for result in results[:5]] == [33, 340, 1, 17, 3]

    @pytest.mark.parametrize(
        ("kind", "name", "code", "message"),
        [
            (2, "nope", 3, ""),
            (2, "", 17, "Topic name is invalid: the empty string is not allowed"),
            (
                2,
                "a b",
                17,
                "Topic name is invalid: 'a b' contains one or more characters other than ASCII "
                "alphanumerics, '.', '_' and '-'",
            ),
            (4, "2", 42, "Unexpected broker id, expected 1 or empty string, but received 2"),
            (4, "abc", 42, "Broker id must be an integer, but it is: abc"),
            (4, " 1", 42, "Broker id must be an integer, but it is:  1"),
            (4, "99999999999", 42, "Broker id must be an integer, but it is: 99999999999"),
            (4, "+", 42, "Broker id must be an integer, but it is: +"),
            (8, "", 42, "Broker id must not be empty"),
            (8, "2", 42, "Unexpected broker id, expected 1 but received 2"),
            (8, "x", 42, "Broker id must be an integer, but it is: x"),
            (16, "", 42, "Client metrics subscription name must not be empty"),
            (32, "", 42, "Group name must not be empty"),
        ],
    )
    def test_refusals(self, context, kind, name, code, message):
        good, bad = self.describe(context, (2, "t", ["retention.ms"]), (kind, name, None))
        assert (bad.error_code, bad.error_message, bad.configs) == (code, message, [])
        assert len(good.configs) == 1

    @pytest.mark.parametrize("name", ["1", "01", "+1"])
    def test_every_way_to_write_the_own_id(self, context, name):
        (result,) = self.describe(context, (4, name, ["node.id", "nope"]))
        assert [entry.value for entry in result.configs] == ["1"]

    def test_an_unknown_type_refuses_every_resource(self, context):
        results = self.describe(context, (0, "t", None), (2, "t", None))
        assert [result.error_code for result in results] == [42, 42]
        assert results[0].error_message.startswith(
            "This most likely occurs because of a request being malformed"
        )

    def test_synonyms_and_documentation_only_when_asked_for(self, context):
        (plain,) = self.describe(context, (2, "t", ["max.message.bytes"]))[0].configs
        assert (plain.synonyms, plain.documentation) == ([], None)
        options = {"include_synonyms": True, "include_documentation": True}
        (full,) = self.describe(context, (2, "t", ["max.message.bytes"]), **options)[0].configs
        assert [synonym.name for synonym in full.synonyms] == ["message.max.bytes"]
        assert full.documentation

    def test_overrides_of_the_image_are_told(self, context):
        topic, broker = self.describe(context, (2, "t", ["retention.ms"]), (4, "1", ["cordoned.log.dirs"]))
        assert [(entry.value, entry.config_source) for entry in topic.configs + broker.configs] == [
            ("5", 1),
            ("/b", 2),
        ]

    def test_nothing_asked_nothing_answered(self, context):
        assert self.describe(context) == []


class TestListConfigResources:
    def names(self, context, version, types=()):
        response = ask(
            list_config_resources, context, ListConfigResourcesRequest(resource_types=list(types)), version
        )
        assert not response.error_code
        return [(entry.resource_type, entry.resource_name) for entry in response.config_resources]

    def test_v0_lists_subscriptions(self, context):
        assert self.names(context, 0) == [(16, "m")]

    def test_v1_lists_all_or_the_types_asked_for(self, context):
        everything = [(32, "g"), (16, "m"), (8, "1"), (4, "1"), (2, "t"), (2, "u")]
        assert self.names(context, 1) == everything
        assert self.names(context, 1, [2, 2, 16]) == [(16, "m"), (2, "t"), (2, "u")]

    @pytest.mark.parametrize("types", [[0], [99], [2, 1]])
    def test_an_unknown_type(self, context, types):
        response = ask(list_config_resources, context, ListConfigResourcesRequest(resource_types=types), 1)
        assert (response.error_code, response.config_resources) == (35, [])


class TestDescribeLogDirs:
    def describe(self, context, topics, version=5):
        message = DescribeLogDirsRequest(
            topics=None
            if topics is None
            else [DescribableLogDirTopic(topic=name, partitions=list(indexes)) for name, indexes in topics]
        )
        results = ask(describe_log_dirs, context, message, version).results
        return results, [
            (topic.name, [(entry.partition_index, entry.partition_size) for entry in topic.partitions])
            for topic in results[0].topics
        ]

    @pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
    def test_everything(self, context, version):
        results, topics = self.describe(context, None, version)
        assert topics == [("t", [(0, 7), (1, 8)]), ("u", [(0, 9)])]
        good, failed = results
        assert (good.error_code, good.log_dir, good.total_bytes, good.usable_bytes) == (0, "/a", 1000, 500)
        assert (failed.error_code, failed.log_dir, failed.topics) == (56, "/b", [])
        assert (good.is_cordoned, failed.is_cordoned) == (False, True)

    @pytest.mark.parametrize(
        ("asked", "told"),
        [
            ([], []),
            ([("t", [1])], [("t", [(1, 8)])]),
            ([("t", [1]), ("t", [0, 5]), ("nope", [0])], [("t", [(0, 7), (1, 8)])]),
            ([("t", [])], []),
        ],
    )
    def test_what_was_asked_for(self, context, asked, told):
        assert self.describe(context, asked)[1] == told


class TestDescribeCluster:
    @pytest.mark.parametrize("version", [0, 1, 2])
    @pytest.mark.parametrize(("asks", "operations"), [(False, -(1 << 31)), (True, 8096)])
    def test_the_only_broker(self, context, version, asks, operations):
        response = ask(
            describe_cluster,
            context,
            DescribeClusterRequest(include_cluster_authorized_operations=asks),
            version,
        )
        assert (response.error_code, response.error_message, response.cluster_id) == (0, None, "a cluster")
        assert (response.controller_id, response.cluster_authorized_operations) == (1, operations)
        assert [(entry.broker_id, entry.host, entry.port, entry.rack) for entry in response.brokers] == [
            (1, "h", 9, "r")
        ]

    @pytest.mark.parametrize(
        ("endpoint_type", "code", "message"),
        [
            (
                2,
                114,
                "The request was sent to an endpoint of type BROKER, "
                "but we wanted an endpoint of type CONTROLLER",
            ),
            (9, 115, "Unsupported endpoint type 9"),
            (0, 115, "Unsupported endpoint type 0"),
        ],
    )
    def test_other_endpoints(self, context, endpoint_type, code, message):
        response = ask(describe_cluster, context, DescribeClusterRequest(endpoint_type=endpoint_type), 2)
        assert (response.error_code, response.error_message) == (code, message)
        assert (response.cluster_id, response.controller_id, response.brokers) == ("", -1, [])


class TestTelemetry:
    CLIENT = bytes(range(16))

    def subscribe(self, context, client_id):
        message = GetTelemetrySubscriptionsRequest(client_instance_id=client_id)
        return ask(get_telemetry_subscriptions, context, message, 0)

    def push(self, context, client_id, subscription_id, **fields):
        message = PushTelemetryRequest(
            client_instance_id=client_id, subscription_id=subscription_id, **fields
        )
        return ask(push_telemetry, context, message, 0).error_code

    def test_no_metrics_are_asked_for(self, context):
        del context.metadata.configs[16, "m"]
        response = self.subscribe(context, self.CLIENT)
        assert (response.error_code, response.client_instance_id) == (0, self.CLIENT)
        assert response.accepted_compression_types == [4, 3, 1, 2]
        assert (response.push_interval, response.telemetry_max_bytes) == (300_000, 1_048_576)
        assert (response.delta_temporality, response.requested_metrics) == (True, [])
        assert self.subscribe(context, self.CLIENT).error_code == 89
        context.clock.advance(300_000)
        assert response == self.subscribe(context, self.CLIENT)

    def test_subscriptions(self, context):
        assert self.subscribe(context, self.CLIENT).push_interval == 1000
        context.metadata.configs = {
            (16, "mine"): {
                "metrics": "b.,a.",
                "interval.ms": "500",
                "match": "client_id=a-.*,client_source_port=5",
            },
            (16, "other"): {"metrics": "*", "interval.ms": "100", "match": "client_id=b.*"},
            (16, "all"): {"metrics": "c.", "interval.ms": "700"},
        }
        # A change makes a new subscription, which may be asked for at once.
        response = self.subscribe(context, self.CLIENT)
        assert (response.error_code, response.push_interval) == (0, 500)
        assert sorted(response.requested_metrics) == ["a.", "b.", "c."]
        context.metadata.configs = {(16, "all"): {"metrics": "c.,*"}}
        assert self.subscribe(context, self.CLIENT).requested_metrics == ["*"]

    def test_a_client_without_an_id_gets_one(self, context):
        first = self.subscribe(context, bytes(16)).client_instance_id
        context.clock.advance(1)
        second = self.subscribe(context, bytes(16)).client_instance_id
        assert len(first) == len(second) == 16
        assert first != second
        assert first[6] >> 4 == 4

    def test_pushes(self, context):
        subscription = self.subscribe(context, self.CLIENT).subscription_id
        assert self.push(context, self.CLIENT, subscription, metrics=b"abc") == 0
        assert self.push(context, self.CLIENT, subscription) == 89
        assert self.push(context, bytes(16), subscription) == 42
        for fields, code in (
            ({"subscription_id": subscription ^ 1}, 117),
            ({"compression_type": 9}, 76),
            ({"metrics": bytes(1_048_577)}, 118),
            ({"terminating": True}, 0),
            ({}, 42),
        ):
            context.clock.advance(1000)
            assert self.push(context, self.CLIENT, **{"subscription_id": subscription, **fields}) == code

    def test_after_some_refusals_a_client_may_ask_again(self, context):
        subscription = self.subscribe(context, self.CLIENT).subscription_id
        assert self.push(context, self.CLIENT, subscription ^ 1) == 117
        assert self.subscribe(context, self.CLIENT).error_code == 0
        assert self.subscribe(context, self.CLIENT).error_code == 89

    def test_clients_are_forgotten(self, context):
        self.subscribe(context, self.CLIENT)
        context.clock.advance(60_000)
        self.subscribe(context, bytes(range(1, 17)))
        assert len(context.telemetry) == 1
