"""ListConfigResources (key 74), versions 0-1.

Behaviour: v0 lists client-metrics subscriptions only; v1 lists the types asked for, or all when none is.
Topics and brokers are listed whether or not they have overrides, groups and subscriptions when they have. A
type that does not exist is UNSUPPORTED_VERSION.
"""

from __future__ import annotations

from pybroker.common.config import ResourceType
from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.wire.messages.list_config_resources import (
    ConfigResource,
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
)

_ORDER = (
    ResourceType.GROUP,
    ResourceType.CLIENT_METRICS,
    ResourceType.BROKER_LOGGER,
    ResourceType.BROKER,
    ResourceType.TOPIC,
)


def handle(context: Context, request: Request) -> ListConfigResourcesResponse:
    message: ListConfigResourcesRequest = request.message
    asked = set(message.resource_types) if request.version > 0 else {int(ResourceType.CLIENT_METRICS)}
    if not asked <= set(_ORDER):
        return ListConfigResourcesResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
    return ListConfigResourcesResponse(
        config_resources=[
            ConfigResource(resource_name=name, resource_type=kind)
            for kind in _ORDER
            if not asked or kind in asked
            for name in _names(context, kind)
        ]
    )


def _names(context: Context, kind: ResourceType) -> list[str]:
    image = context.metadata
    if kind is ResourceType.TOPIC:
        return sorted(image.topics)
    if kind in (ResourceType.BROKER, ResourceType.BROKER_LOGGER):
        return [str(broker_id) for broker_id in sorted(image.brokers)]
    return sorted(name for (found, name), overrides in image.configs.items() if found == kind and overrides)
