"""DescribeCluster (key 60), versions 0-2.

Behaviour: this broker, with the address of the listener that was asked, is the only one and leads the
controllers. Asking a broker for controllers is refused.
"""

from __future__ import annotations

from pybroker.common.errors import ErrorCode
from pybroker.handlers.authorized_operations import ALL_CLUSTER_OPERATIONS, NOT_ASKED
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.describe_cluster import (
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
)

_BROKERS = 1
_CONTROLLERS = 2


def handle(context: Context, request: Request) -> DescribeClusterResponse:
    message: DescribeClusterRequest = request.message
    if message.endpoint_type == _CONTROLLERS:
        return DescribeClusterResponse(
            error_code=ErrorCode.MISMATCHED_ENDPOINT_TYPE,
            error_message="The request was sent to an endpoint of type BROKER, "
            "but we wanted an endpoint of type CONTROLLER",
        )
    if message.endpoint_type != _BROKERS:
        return DescribeClusterResponse(
            error_code=ErrorCode.UNSUPPORTED_ENDPOINT_TYPE,
            error_message=f"Unsupported endpoint type {message.endpoint_type}",
        )
    host, port = context.endpoints[request.connection.listener]
    asks_operations = message.include_cluster_authorized_operations
    return DescribeClusterResponse(
        cluster_id=context.cluster_id,
        controller_id=context.broker_id,
        brokers=[
            DescribeClusterBroker(
                broker_id=context.broker_id, host=host, port=port, rack=context.config["broker.rack"]
            )
        ],
        cluster_authorized_operations=ALL_CLUSTER_OPERATIONS if asks_operations else NOT_ASKED,
    )
