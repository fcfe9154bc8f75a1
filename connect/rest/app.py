"""The REST server: listeners, common headers, time limits, and requests that another worker has to answer.

In: HTTP requests. Out: answers, or the answer of the worker that was responsible. What must hold: no request
waits longer than the operation timeout, and the answer then says what the worker was doing; nothing here
blocks the event loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

from connect.api.errors import ConfigError, ConnectError
from connect.core.metrics import Sample, prometheus_text
from connect.core.worker_config import WorkerConfig
from connect.rest.connectors import ConnectorRoutes
from connect.rest.loggers import LoggerRoutes
from connect.rest.plugins import PluginRoutes
from connect.rest.routing import (
    MAX_BODY,
    Route,
    Router,
    error_response,
    json_response,
)
from connect.runtime.herder import Herder, NotHereError, RestError
from connect.runtime.loggers import Loggers

log = logging.getLogger(__name__)

Result = TypeVar("Result")
# The behaviour that this worker implements, and what it tells clients that ask.
VERSION: Final = "4.3.0"


class RestTimeouts:
    """All in seconds."""

    def __init__(
        self,
        operation: float = 90.0,
        health: float = 10.0,
        forward: float = 30.0,
    ) -> None:
        self.operation = operation
        self.health = health
        self.forward = forward


class RestServer:
    """`bind` opens the listeners, `set_herder` makes the API answer, `close` ends it."""

    def __init__(
        self,
        config: WorkerConfig,
        loggers: Loggers,
        commit: str,
        samples: Callable[[], list[Sample]],
        timeouts: RestTimeouts | None = None,
    ) -> None:
        self.config = config
        self.timeouts = timeouts or RestTimeouts()
        self.loggers = loggers
        self.herder: Herder | None = None
        self.client: aiohttp.ClientSession | None = None
        self._commit = commit
        self._samples = samples
        self._runners: list[web.AppRunner] = []
        self._ports: dict[str, int] = {}
        self._headers = _response_headers(config["response.http.headers.config"])

    async def bind(self) -> None:
        """Opens all listeners. ConfigError for a bad one, OSError for a port in use."""
        self.client = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, sock_read=self.timeouts.forward, sock_connect=10)
        )
        admin = self.config["admin.listeners"]
        routes = [*self._main_routes(), *ConnectorRoutes(self).routes(), *PluginRoutes(self).routes()]
        admin_routes = LoggerRoutes(self).routes()
        if admin is None:
            routes += admin_routes
        await self._listen(self.config["listeners"], Router(routes))
        if admin:
            await self._listen(admin, Router(admin_routes))

    def _main_routes(self) -> list[Route]:
        return [
            Route("GET", "/", self._root),
            Route("GET", "/health", self._health),
            Route("GET", "/metrics", self._metrics),
        ]

    async def _listen(self, listeners: list[str], router: Router) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._answer(request, router)

        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        self._runners.append(runner)
        for listener in listeners:
            parsed = urlsplit(listener)
            context = self._server_ssl() if parsed.scheme.lower() == "https" else None
            port = parsed.port if parsed.port is not None else 8083
            site = web.TCPSite(runner, parsed.hostname or None, port, ssl_context=context, shutdown_timeout=1)
            await site.start()
            bound = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            self._ports.setdefault(parsed.scheme.lower(), bound)

    def _server_ssl(self) -> ssl.SSLContext:
        prefix = "listeners.https."
        own = self.config.with_prefix(prefix)
        settings = own if own else self.config.strings
        keystore = settings.get("ssl.keystore.location")
        if keystore is None or settings.get("ssl.keystore.type", "JKS").upper() != "PEM":
            raise ConfigError(
                name=f"{prefix}ssl.keystore.type",
                value=settings.get("ssl.keystore.type", "JKS"),
                message="https listeners need a PEM key store with certificate and key",
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(keystore, password=settings.get("ssl.key.password"))
        client_auth = settings.get("ssl.client.auth", self.config["ssl.client.auth"])
        trust = settings.get("ssl.truststore.location")
        if trust is not None:
            context.load_verify_locations(trust)
        if client_auth != "none":
            context.verify_mode = ssl.CERT_REQUIRED if client_auth == "required" else ssl.CERT_OPTIONAL
        return context

    @property
    def advertised_url(self) -> str:
        """How other workers reach this one, with a slash at its end."""
        scheme = (self.config["rest.advertised.listener"] or "").lower()
        if not scheme:
            scheme = "https" if "https" in self._ports and "http" not in self._ports else "http"
        if scheme not in self._ports:
            raise ConfigError(
                name="rest.advertised.listener", value=scheme, message="No listener has that protocol"
            )
        host = self.config["rest.advertised.host.name"]
        if not host:
            listed = [urlsplit(item) for item in self.config["listeners"]]
            host = next((u.hostname for u in listed if u.scheme.lower() == scheme and u.hostname), None)
        if not host or host in ("0.0.0.0", "::"):
            host = _own_address()
        shown = f"[{host}]" if ":" in host else host
        return f"{scheme}://{shown}:{self.config['rest.advertised.port'] or self._ports[scheme]}/"

    @property
    def worker_id(self) -> str:
        return urlsplit(self.advertised_url).netloc

    async def close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        if self.client is not None:
            await self.client.close()

    # Answers.

    async def _answer(self, request: web.Request, router: Router) -> web.Response:
        try:
            response = await router.dispatch(request)
        except RestError as error:
            response = error_response(error.status, str(error))
        except web.HTTPException as error:
            response = error_response(error.status, error.reason)
        except ConnectError as error:
            log.warning("%s %s failed: %s", request.method, request.path, error)
            response = error_response(500, str(error))
        except Exception as error:
            log.exception("%s %s failed", request.method, request.path)
            response = error_response(500, str(error) or type(error).__name__)
        origin = self.config["access.control.allow.origin"]
        if origin and "Origin" in request.headers and origin in ("*", request.headers["Origin"]):
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            methods = self.config["access.control.allow.methods"]
            if methods:
                response.headers["Access-Control-Allow-Methods"] = methods
        for name, value in self._headers:
            response.headers[name] = value
        return response

    def require_herder(self) -> Herder:
        if self.herder is None or not self.herder.ready:
            raise RestError(503, "This worker is still starting up")
        return self.herder

    async def in_time(self, work: Awaitable[Result]) -> Result:
        """RestError 500 that names the stage when the operation timeout passes."""
        began = datetime.now(UTC)
        try:
            return await asyncio.wait_for(work, self.timeouts.operation)
        except TimeoutError as error:
            stage = self.herder.stage if self.herder is not None else "starting up"
            shown = began.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            raise RestError(
                500, f"Request timed out. The worker is currently {stage}, which began at {shown}"
            ) from error

    async def _root(self, request: web.Request, params: dict[str, str]) -> web.Response:
        cluster = self.herder.cluster_id if self.herder is not None else None
        return json_response({"version": VERSION, "commit": self._commit, "kafka_cluster_id": cluster})

    async def _health(self, request: web.Request, params: dict[str, str]) -> web.Response:
        herder = self.herder
        if herder is None or not herder.ready:
            return json_response({"status": "starting", "message": "Worker is still starting up."}, 503)
        try:
            await asyncio.wait_for(herder.check_alive(), self.timeouts.health)
        except TimeoutError:
            message = f"Worker was unable to handle this request. The worker is currently {herder.stage}"
            return json_response({"status": "unhealthy", "message": message}, 500)
        message = "Worker has completed startup and is ready to handle requests."
        return json_response({"status": "healthy", "message": message})

    async def _metrics(self, request: web.Request, params: dict[str, str]) -> web.Response:
        return web.Response(text=prometheus_text(self._samples()), content_type="text/plain", charset="utf-8")

    # Requests for others.

    async def here_or_forwarded(
        self,
        request: web.Request,
        work: Callable[[], Awaitable[web.Response]],
        query: Mapping[str, str] | None = None,
    ) -> web.Response:
        """Does the work here, or has it done by the worker that is responsible: two hops at most."""
        try:
            return await self.in_time(work())
        except NotHereError as error:
            forward = request.query.get("forward")
            if forward is not None and forward.lower() != "true":
                raise RestError(
                    409,
                    "Cannot complete request because of a conflicting operation (e.g. worker rebalance)",
                ) from error
            if error.url is None:
                raise RestError(
                    409,
                    "Cannot complete request momentarily due to no known leader URL, likely because a "
                    "rebalance was underway.",
                ) from error
            hop = "true" if forward is None else "false"
            return await self._forward(request, error.url, {**(query or {}), "forward": hop})

    async def _forward(self, request: web.Request, url: str, query: Mapping[str, str]) -> web.Response:
        assert self.client is not None
        target = url.rstrip("/") + request.rel_url.raw_path + "?" + _query(query)
        headers = {"Content-Type": "application/json"}
        if "Authorization" in request.headers:
            headers["Authorization"] = request.headers["Authorization"]
        body = await request.read()
        try:
            async with self.client.request(
                request.method, _raw_url(target), data=body or None, headers=headers
            ) as answer:
                content = await answer.read()
                response = web.Response(
                    body=content, status=answer.status, content_type="application/json" if content else None
                )
                if "Location" in answer.headers:
                    response.headers["Location"] = self.location(request, answer.headers["Location"])
                return response
        except TimeoutError as error:
            raise RestError(500, f"The worker at {url} did not answer in time") from error
        except aiohttp.ClientError as error:
            raise RestError(
                500, f"IO Error trying to forward REST request: {error or type(error).__name__}"
            ) from error

    def location(self, request: web.Request, forwarded: str) -> str:
        """Another worker's Location as seen from here."""
        path = urlsplit(forwarded).path
        return f"{request.scheme}://{request.host}{path}"

    def connector_location(self, request: web.Request, name: str) -> str:
        return f"{request.scheme}://{request.host}/connectors/{quote(name, safe='/%')}"

    async def call_worker(
        self, method: str, url: str, path: list[str], body: bytes, headers: Mapping[str, str]
    ) -> None:
        """A request of this worker to another. RestError with its status when it refuses."""
        assert self.client is not None
        target = url.rstrip("/") + "/" + "/".join(quote(part, safe="") for part in path)
        try:
            async with self.client.request(
                method, _raw_url(target), data=body, headers={"Content-Type": "application/json", **headers}
            ) as answer:
                content = await answer.read()
                if answer.status >= 300:
                    raise RestError(answer.status, _message(content))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RestError(
                500, f"IO Error trying to forward REST request: {error or type(error).__name__}"
            ) from error


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content[:500].decode("utf-8", "replace")


def _query(query: Mapping[str, str]) -> str:
    return "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())


def _raw_url(text: str) -> URL:
    return URL(text, encoded=True)


def _own_address() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


_HEADER: Final = re.compile(r"\s*(set|add|setDate|addDate)\s+([^:\s]+)\s*:\s*(.+?)\s*")


def _response_headers(text: str) -> list[tuple[str, str]]:
    """`[action] [name]:[value]`, separated by commas (a value with commas is quoted). ConfigError."""
    found = []
    for rule in re.findall(r'(?:[^",]|"[^"]*")+', text):
        match = _HEADER.fullmatch(rule.replace('"', ""))
        if match is None:
            raise ConfigError(
                name="response.http.headers.config", value=text, message=f"Invalid header rule {rule!r}"
            )
        found.append((match[2], match[3]))
    return found
