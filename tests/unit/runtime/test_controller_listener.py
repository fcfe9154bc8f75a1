"""The controller's listener of a running broker: its own keys, and no others."""

from __future__ import annotations

import asyncio
import struct

import pytest

from pybroker.common.config import BrokerConfig
from pybroker.common.memory_files import MemoryFileSystem
from pybroker.runtime.main import RunningBroker
from pybroker.wire import codec
from pybroker.wire.api_keys import ADVERTISED, CONTROLLER_ADVERTISED
from pybroker.wire.headers import parse_response_header, request_header
from pybroker.wire.messages.api_versions import ApiVersionsRequest
from tests.unit.server.harness import run

CONFIG = {
    "listeners": "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0",
    "advertised.listeners": "PLAINTEXT://127.0.0.1:0",
}


async def ask(address, api_key, version, body=b""):
    """The frame of the answer; b"" when the connection is closed instead."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        frame = request_header(api_key, version, 7, "t") + body
        writer.write(struct.pack(">i", len(frame)) + frame)
        prefix = await reader.read(4)
        return await reader.readexactly(struct.unpack(">i", prefix)[0]) if prefix else b""
    finally:
        writer.close()


def with_broker(script):
    async def whole():
        running = RunningBroker(BrokerConfig.from_properties(CONFIG), MemoryFileSystem(), in_memory=True)
        await running.start()
        try:
            controller = running._controller_listeners[0]
            await script(running.address, ("127.0.0.1", controller.port))
        finally:
            await running.stop()

    run(whole())


def test_each_kind_of_listener_advertises_its_own_keys():
    async def script(broker, controller):
        for address, rows in ((broker, ADVERTISED), (controller, CONTROLLER_ADVERTISED)):
            request = ApiVersionsRequest(client_software_name="t", client_software_version="1")
            frame = await ask(address, 18, 4, codec.encode(request, 4))
            _, position = parse_response_header(frame, 18, 4)
            answer, _ = codec.decode(codec.response_class(18), 4, frame, position)
            assert [(key.api_key, key.min_version, key.max_version) for key in answer.api_keys] == list(rows)
            assert answer.finalized_features

    with_broker(script)


@pytest.mark.parametrize(
    ("on_controller", "api_key", "version"), [(True, 3, 12), (True, 0, 9), (False, 52, 2)]
)
def test_a_key_of_the_other_kind_closes_the_connection(on_controller, api_key, version):
    async def script(broker, controller):
        assert await ask(controller if on_controller else broker, api_key, version, bytes(64)) == b""

    with_broker(script)
