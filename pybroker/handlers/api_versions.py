"""ApiVersions (key 18), versions 0-4.

Behaviour: answers what the table of `wire/api_keys.py` has for the kind of listener, the features this broker
supports and those finalized in the metadata log. A supported feature with minimum 0 is left out below v4
(KAFKA-17011). A client software name or version that is not made of letters, digits, dots and dashes is
INVALID_REQUEST with no keys (KIP-511). An unsupported version is answered before decoding, see `unsupported`.
"""

from __future__ import annotations

import re

from pybroker.common.errors import ErrorCode
from pybroker.handlers.context import Context, Request
from pybroker.metadata.features import SUPPORTED_FEATURES
from pybroker.wire.api_keys import ADVERTISED, CONTROLLER_ADVERTISED
from pybroker.wire.messages.api_versions import (
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)

_SOFTWARE_PATTERN = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?")


def handle(context: Context, request: Request) -> ApiVersionsResponse:
    message: ApiVersionsRequest = request.message
    if request.version >= 3:
        for text in (message.client_software_name, message.client_software_version):
            if not _SOFTWARE_PATTERN.fullmatch(text):
                return ApiVersionsResponse(error_code=ErrorCode.INVALID_REQUEST)
        request.connection.client_software_name = message.client_software_name
        request.connection.client_software_version = message.client_software_version
    image = context.metadata
    return ApiVersionsResponse(
        api_keys=[
            ApiVersion(api_key=row.key, min_version=row.min_version, max_version=row.max_version)
            for row in (CONTROLLER_ADVERTISED if request.connection.routes.controller else ADVERTISED)
        ],
        supported_features=[
            SupportedFeatureKey(name=name, min_version=low, max_version=high)
            for name, (low, high) in SUPPORTED_FEATURES.items()
            if low > 0 or request.version >= 4
        ],
        finalized_features_epoch=image.offset,
        finalized_features=[
            FinalizedFeatureKey(name=name, min_version_level=level, max_version_level=level)
            for name, level in image.features.items()
            if level > 0 and name in SUPPORTED_FEATURES
        ],
    )


def unsupported() -> ApiVersionsResponse:
    """The v0 answer to a version that is not served: error 35 and the range of this key only (KIP-35)."""
    own = next(row for row in ADVERTISED if row.key == 18)
    return ApiVersionsResponse(
        error_code=ErrorCode.UNSUPPORTED_VERSION,
        api_keys=[ApiVersion(api_key=18, min_version=own.min_version, max_version=own.max_version)],
    )
