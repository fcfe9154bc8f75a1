"""A connection to a broker for the few requests that no client library offers: JoinGroup of a foreign
protocol type, SyncGroup, Heartbeat, LeaveGroup, FindCoordinator, InitProducerId.

In: messages of `pybroker.wire`. Out: their answers. What must hold: requests of one connection are answered
in order, and each either gets its answer or a `WireError` within its time.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import secrets
import ssl
import struct
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from connect.api.errors import ConfigError, ConnectError
from connect.runtime.clients import jaas_options
from pybroker.wire import codec
from pybroker.wire.headers import parse_response_header, request_header
from pybroker.wire.message import Message
from pybroker.wire.messages.api_versions import ApiVersionsRequest
from pybroker.wire.messages.sasl_authenticate import SaslAuthenticateRequest
from pybroker.wire.messages.sasl_handshake import SaslHandshakeRequest

_API_VERSIONS: Final = 18
_SASL_HANDSHAKE: Final = 17
_SASL_AUTHENTICATE: Final = 36
_MAX_FRAME: Final = 64 << 20
_CONNECT_TIMEOUT_S: Final = 10.0

Response = TypeVar("Response", bound=Message)


class WireError(ConnectError):
    """The connection broke, or the broker did not answer in time."""


class Security:
    """TLS and SASL out of a worker's configuration. ConfigError for what this connection cannot do."""

    def __init__(self, props: Mapping[str, str]) -> None:
        protocol = props.get("security.protocol", "PLAINTEXT").upper()
        self.tls = protocol.endswith("SSL")
        self.sasl = protocol.startswith("SASL")
        self.mechanism = props.get("sasl.mechanism", "GSSAPI").upper()
        self._props = props
        options = jaas_options(props.get("sasl.jaas.config", ""))
        self.username, self.password = options.get("username", ""), options.get("password", "")
        if self.sasl and self.mechanism not in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
            raise ConfigError(
                name="sasl.mechanism",
                value=self.mechanism,
                message="Workers can log in with PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512",
            )

    def context(self) -> ssl.SSLContext | None:
        if not self.tls:
            return None
        context = ssl.create_default_context()
        trust = self._props.get("ssl.truststore.location")
        if trust:
            context.load_verify_locations(trust)
        if self._props.get("ssl.truststore.certificates"):
            context.load_verify_locations(cadata=self._props["ssl.truststore.certificates"])
        keys = self._props.get("ssl.keystore.location")
        if keys:
            context.load_cert_chain(keys, password=self._props.get("ssl.key.password"))
        if self._props.get("ssl.endpoint.identification.algorithm", "https") == "":
            context.check_hostname = False
        return context


class WireConnection:
    """Made by `open`; usable until a request fails with WireError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client_id: str) -> None:
        self._reader = reader
        self._writer = writer
        self._client_id = client_id
        self._correlation = 0
        self._waiting: deque[tuple[int, int, int, asyncio.Future[memoryview]]] = deque()
        self._versions: dict[int, tuple[int, int]] = {}
        self._task = asyncio.create_task(self._read())
        self.closed = False

    @staticmethod
    async def open(host: str, port: int, client_id: str, security: Security) -> WireConnection:
        try:
            context = security.context()
            reader, writer = await asyncio.wait_for(
                asyncio.open_connection(host, port, ssl=context), _CONNECT_TIMEOUT_S
            )
        except (OSError, TimeoutError) as error:
            raise WireError(f"{host}:{port} cannot be reached: {error or type(error).__name__}") from error
        connection = WireConnection(reader, writer, client_id)
        try:
            await connection._introduce()
            if security.sasl:
                await connection._log_in(security)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _introduce(self) -> None:
        answer: Any = await self.request(_API_VERSIONS, ApiVersionsRequest(), version=0)
        self._versions = {api.api_key: (api.min_version, api.max_version) for api in answer.api_keys}

    async def _log_in(self, security: Security) -> None:
        answer: Any = await self.request(
            _SASL_HANDSHAKE, SaslHandshakeRequest(mechanism=security.mechanism), version=1
        )
        if answer.error_code:
            raise WireError(
                f"The broker refuses SASL mechanism {security.mechanism}; it offers {answer.mechanisms}"
            )
        if security.mechanism == "PLAIN":
            await self._authenticate(f"\0{security.username}\0{security.password}".encode())
            return
        name = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}[security.mechanism]
        user = security.username.replace("=", "=3D").replace(",", "=2C")
        nonce = base64.b64encode(secrets.token_bytes(18)).decode()
        bare = f"n={user},r={nonce}"
        first = (await self._authenticate(b"n,," + bare.encode())).decode()
        parts = dict(part.split("=", 1) for part in first.split(","))
        if not parts["r"].startswith(nonce):
            raise WireError("SCRAM: the server's nonce does not continue ours")
        iterations = int(parts["i"])
        if not 4096 <= iterations <= 1_000_000:
            raise WireError(f"SCRAM: {iterations} iterations")
        salted = hashlib.pbkdf2_hmac(
            name, security.password.encode(), base64.b64decode(parts["s"]), iterations
        )
        client_key = hmac.digest(salted, b"Client Key", name)
        without_proof = f"c=biws,r={parts['r']}"
        message = ",".join((bare, first, without_proof)).encode()
        signature = hmac.digest(hashlib.new(name, client_key).digest(), message, name)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        final = await self._authenticate(f"{without_proof},p={base64.b64encode(proof).decode()}".encode())
        expected = hmac.digest(hmac.digest(salted, b"Server Key", name), message, name)
        if final != b"v=" + base64.b64encode(expected):
            raise WireError("SCRAM: the server does not know the password")

    async def _authenticate(self, data: bytes) -> bytes:
        answer: Any = await self.request(
            _SASL_AUTHENTICATE, SaslAuthenticateRequest(auth_bytes=data), version=0
        )
        if answer.error_code:
            raise WireError(f"Authentication failed: {answer.error_message}")
        return bytes(answer.auth_bytes)

    def best_version(self, api_key: int, at_most: int) -> int:
        lowest, highest = self._versions.get(api_key, (0, -1))
        version = min(highest, at_most)
        if version < lowest:
            raise WireError(f"The broker does not serve API {api_key} up to version {at_most}")
        return version

    async def request(
        self,
        api_key: int,
        message: Message,
        *,
        version: int | None = None,
        at_most: int = 32767,
        timeout_s: float = 40.0,
    ) -> Message:
        """The answer. WireError ends the connection."""
        if self.closed:
            raise WireError("The connection is closed")
        if version is None:
            version = self.best_version(api_key, min(at_most, type(message).VERSIONS[1]))
        self._correlation = (self._correlation + 1) & 0x7FFFFFFF
        frame = request_header(api_key, version, self._correlation, self._client_id) + codec.encode(
            message, version
        )
        future: asyncio.Future[memoryview] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._correlation, api_key, version, future))
        self._writer.write(struct.pack(">i", len(frame)) + frame)
        try:
            answer = await asyncio.wait_for(future, timeout_s)
        except TimeoutError as error:
            self.close()
            raise WireError(f"No answer to API {api_key} in {timeout_s} s") from error
        decoded, _ = codec.decode(codec.response_class(api_key), version, answer)
        return decoded

    async def _read(self) -> None:
        try:
            while True:
                (length,) = struct.unpack(">i", await self._reader.readexactly(4))
                if not 0 <= length <= _MAX_FRAME:
                    raise WireError(f"A frame of {length} bytes")
                frame = memoryview(await self._reader.readexactly(length))
                if not self._waiting:
                    raise WireError("An answer that nobody asked for")
                expected, api_key, version, future = self._waiting.popleft()
                correlation, start = parse_response_header(frame, api_key, version)
                if correlation != expected:
                    raise WireError(f"Answer {correlation} where {expected} was expected")
                if not future.done():
                    future.set_result(frame[start:])
        except asyncio.CancelledError:
            self._fail(WireError("The connection is closed"))
            raise
        except Exception as error:
            self._fail(WireError(f"The connection broke: {error or type(error).__name__}"))

    def _fail(self, error: WireError) -> None:
        self.closed = True
        self._writer.close()
        while self._waiting:
            future = self._waiting.popleft()[3]
            if not future.done():
                future.set_exception(error)

    def close(self) -> None:
        self.closed = True
        self._task.cancel()
        with contextlib.suppress(Exception):
            self._writer.close()


async def open_any(bootstrap: str, client_id: str, security: Security) -> WireConnection:
    """A connection to the first of some `host:port` that answers. WireError when none does."""
    last: WireError | None = None
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        if "://" in host:
            host = host.split("://", 1)[1]
        try:
            return await WireConnection.open(host.strip("[]"), int(port), client_id, security)
        except WireError as error:
            last = error
    raise last or WireError(f"No broker in {bootstrap!r}")
