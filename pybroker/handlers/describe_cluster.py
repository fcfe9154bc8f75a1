"""DescribeCluster (key 60), versions 0-2.

Behaviour: the brokers with their addresses on the listener that was asked; fenced ones from v2 on where they
are asked for. As the controller a broker is named, as in Metadata. A listener of a controller tells of the
controllers instead, and of the active one (KIP-919). Asked for the other kind, both refuse.
"""

from __future__ import annotations

from pybroker.common.errors import ErrorCode
from pybroker.handlers.authorized_operations import ALL_CLUSTER_OPERATIONS, NOT_ASKED
from pybroker.handlers.context import Context, Request
from pybroker.handlers.nodes import admin_node_id, node_of
from pybroker.wire.messages.describe_cluster import (
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
)

_BROKERS = 1
_CONTROLLERS = 2
_TYPES = {_BROKERS: "BROKER", _CONTROLLERS: "CONTROLLER"}


def handle(context: Context, request: Request) -> DescribeClusterResponse:
    message: DescribeClusterRequest = request.message
    own = _CONTROLLERS if request.connection.routes.controller else _BROKERS
    if message.endpoint_type not in _TYPES:
        return DescribeClusterResponse(
            error_code=ErrorCode.UNSUPPORTED_ENDPOINT_TYPE,
            error_message=f"Unsupported endpoint type {message.endpoint_type}",
        )
    if message.endpoint_type != own:
        return DescribeClusterResponse(
            error_code=ErrorCode.MISMATCHED_ENDPOINT_TYPE,
            error_message=f"The request was sent to an endpoint of type {_TYPES[own]}, "
            f"but we wanted an endpoint of type {_TYPES[message.endpoint_type]}",
        )
    image = context.metadata
    listener = request.connection.listener
    if own == _CONTROLLERS:
        return DescribeClusterResponse(
            endpoint_type=_CONTROLLERS,
            cluster_id=image.cluster_id,
            controller_id=context.quorum.leader.node_id,
            brokers=[
                DescribeClusterBroker(broker_id=controller_id, host=endpoint.host, port=endpoint.port)
                for controller_id, controller in sorted(image.controllers.items())
                for endpoint in controller.endpoints
                if endpoint.name == listener
            ],
            cluster_authorized_operations=(
                ALL_CLUSTER_OPERATIONS if message.include_cluster_authorized_operations else NOT_ASKED
            ),
        )
    brokers = []
    for broker_id, broker in sorted(image.brokers.items()):
        node = node_of(broker, listener)
        if node is not None and (message.include_fenced_brokers or not broker.fenced):
            brokers.append(
                DescribeClusterBroker(
                    broker_id=broker_id,
                    host=node.host,
                    port=node.port,
                    rack=node.rack,
                    is_fenced=broker.fenced,
                )
            )
    asks_operations = message.include_cluster_authorized_operations
    return DescribeClusterResponse(
        cluster_id=image.cluster_id,
        controller_id=admin_node_id(image, context.broker_id),
        brokers=brokers,
        cluster_authorized_operations=ALL_CLUSTER_OPERATIONS if asks_operations else NOT_ASKED,
    )
