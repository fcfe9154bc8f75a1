"""/connectors and everything below it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from connect.core import config_state as cs
from connect.core import signatures
from connect.core.config_state import SessionKey
from connect.rest.routing import Route, config_map, json_response, read_json
from connect.runtime.herder import Herder, RestError

if TYPE_CHECKING:
    from connect.rest.app import RestServer

_STATES: Final = {"RUNNING": cs.STARTED, "PAUSED": cs.PAUSED, "STOPPED": cs.STOPPED}
_REFUSED_MEMBER: Final = "The request's body has the unknown member {!r}; known are {}"


def _empty(status: int) -> web.Response:
    return web.Response(status=status)


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").lower() == "true"


class ConnectorRoutes:
    def __init__(self, server: RestServer) -> None:
        self._server = server

    def routes(self) -> list[Route]:
        one = "/connectors/{name}"
        return [
            Route("POST", "/connectors", self.create),
            Route("GET", "/connectors", self.list),
            Route("DELETE", one, self.delete),
            Route("GET", one, self.info),
            Route("GET", one + "/config", self.config),
            Route("PUT", one + "/config", self.put_config),
            Route("PATCH", one + "/config", self.patch_config),
            Route("GET", one + "/status", self.status),
            Route("POST", one + "/restart", self.restart),
            Route("PUT", one + "/pause", self._target(cs.PAUSED)),
            Route("PUT", one + "/resume", self._target(cs.STARTED)),
            Route("PUT", one + "/stop", self.stop),
            Route("GET", one + "/tasks", self.tasks),
            Route("POST", one + "/tasks", self.put_tasks),
            Route("PUT", one + "/fence", self.fence),
            Route("GET", one + "/tasks/{task}/status", self.task_status),
            Route("POST", one + "/tasks/{task}/restart", self.restart_task),
            Route("GET", one + "/topics", self.topics),
            Route("PUT", one + "/topics/reset", self.reset_topics),
            Route("GET", one + "/offsets", self.offsets),
            Route("PATCH", one + "/offsets", self.alter_offsets),
            Route("DELETE", one + "/offsets", self.reset_offsets),
        ]

    @property
    def _herder(self) -> Herder:
        return self._server.require_herder()

    async def list(self, request: web.Request, params: dict[str, str]) -> web.Response:
        herder = self._herder
        names = herder.connectors()
        if "expand" not in request.query:
            return json_response(names)
        wanted = request.query.getall("expand")
        result: dict[str, Any] = {}
        for name in names:
            row: dict[str, Any] = {}
            try:
                for what in wanted:
                    if what == "status":
                        row["status"] = herder.connector_status(name)
                    elif what == "info":
                        row["info"] = herder.connector_info(name)
            except RestError:
                continue  # Deleted a moment ago, or without a status yet.
            result[name] = row
        return json_response(result)

    async def create(self, request: web.Request, params: dict[str, str]) -> web.Response:
        herder = self._herder
        body = await read_json(request, numbers_as_text=True)
        if not isinstance(body, dict):
            raise RestError(400, "The request's body has to be a JSON object with name and config")
        for member in body:
            if member not in ("name", "config", "initial_state"):
                raise RestError(400, _REFUSED_MEMBER.format(member, "name, config, initial_state"))
        given = body.get("name")
        if given is not None and not isinstance(given, str):
            raise RestError(400, "name has to be a text")
        name = (given or "").strip()
        if body.get("config") is None:
            raise RestError(400, "config is missing")
        config = config_map(body["config"], "config")
        _put_name(config, name)
        initial = body.get("initial_state")
        if initial is not None and str(initial).upper() not in _STATES:
            raise RestError(400, f"initial_state {initial!r} is none of {', '.join(_STATES)}")
        state = _STATES[str(initial).upper()] if initial is not None else None

        async def work() -> web.Response:
            _, info = await herder.put_connector(name, config, state, replace=False)
            location = self._server.connector_location(request, name)
            return json_response(info, 201, {"Location": location})

        return await self._server.here_or_forwarded(request, work)

    async def delete(self, request: web.Request, params: dict[str, str]) -> web.Response:
        herder = self._herder

        async def work() -> web.Response:
            await herder.delete_connector(params["name"])
            return _empty(204)

        return await self._server.here_or_forwarded(request, work)

    async def info(self, request: web.Request, params: dict[str, str]) -> web.Response:
        return json_response(self._herder.connector_info(params["name"]))

    async def config(self, request: web.Request, params: dict[str, str]) -> web.Response:
        return json_response(self._herder.connector_config(params["name"]))

    async def put_config(self, request: web.Request, params: dict[str, str]) -> web.Response:
        herder = self._herder
        name = params["name"]
        config = config_map(await read_json(request, numbers_as_text=True), "The configuration")
        _put_name(config, name)

        async def work() -> web.Response:
            created, info = await herder.put_connector(name, config, None, replace=True)
            if not created:
                return json_response(info)
            return json_response(info, 201, {"Location": self._server.connector_location(request, name)})

        return await self._server.here_or_forwarded(request, work)

    async def patch_config(self, request: web.Request, params: dict[str, str]) -> web.Response:
        herder = self._herder
        patch = config_map(await read_json(request, numbers_as_text=True), "The patch")

        async def work() -> web.Response:
            return json_response(await herder.patch_config(params["name"], patch))

        return await self._server.here_or_forwarded(request, work)

    async def status(self, request: web.Request, params: dict[str, str]) -> web.Response:
        return json_response(self._herder.connector_status(params["name"]))

    async def restart(self, request: web.Request, params: dict[str, str]) -> web.Response:
        herder = self._herder
        include_tasks, only_failed = _flag(request, "includeTasks"), _flag(request, "onlyFailed")

        async def work() -> web.Response:
            if not include_tasks and not only_failed:
                await herder.restart_connector(params["name"])
                return _empty(204)
            shown = await herder.restart_connector_and_tasks(params["name"], include_tasks, only_failed)
            return json_response(shown, 202)

        query = {
            "includeTasks": "true" if include_tasks else "false",
            "onlyFailed": "true" if only_failed else "false",
        }
        return await self._server.here_or_forwarded(request, work, query)

    def _target(self, state: str) -> Callable[[web.Request, dict[str, str]], Awaitable[web.Response]]:
        async def handle(request: web.Request, params: dict[str, str]) -> web.Response:
            await self._server.in_time(self._herder.set_target_state(params["name"], state))
            return _empty(202)

        return handle

    async def stop(self, request: web.Request, params: dict[str, str]) -> web.Response:
        herder = self._herder

        async def work() -> web.Response:
            await herder.stop_connector(params["name"])
            return _empty(204)

        return await self._server.here_or_forwarded(request, work)

    async def tasks(self, request: web.Request, params: dict[str, str]) -> web.Response:
        return json_response(self._herder.task_configs(params["name"]))

    async def task_status(self, request: web.Request, params: dict[str, str]) -> web.Response:
        return json_response(self._herder.task_status(params["name"], _task_number(params)))

    async def restart_task(self, request: web.Request, params: dict[str, str]) -> web.Response:
        herder = self._herder
        number = _task_number(params)

        async def work() -> web.Response:
            await herder.restart_task(params["name"], number)
            return _empty(204)

        return await self._server.here_or_forwarded(request, work)

    async def topics(self, request: web.Request, params: dict[str, str]) -> web.Response:
        return json_response(self._herder.active_topics(params["name"]))

    async def reset_topics(self, request: web.Request, params: dict[str, str]) -> web.Response:
        await self._server.in_time(self._herder.reset_topics(params["name"]))
        return _empty(202)

    async def offsets(self, request: web.Request, params: dict[str, str]) -> web.Response:
        return json_response(await self._server.in_time(self._herder.connector_offsets(params["name"])))

    async def alter_offsets(self, request: web.Request, params: dict[str, str]) -> web.Response:
        herder = self._herder
        offsets = _offsets(await read_json(request))

        async def work() -> web.Response:
            return json_response({"message": await herder.alter_offsets(params["name"], offsets)})

        return await self._server.here_or_forwarded(request, work)

    async def reset_offsets(self, request: web.Request, params: dict[str, str]) -> web.Response:
        herder = self._herder

        async def work() -> web.Response:
            return json_response({"message": await herder.alter_offsets(params["name"], None)})

        return await self._server.here_or_forwarded(request, work)

    # Between workers.

    async def _verify(self, request: web.Request, herder: Herder) -> bytes:
        if not self._server.config.distributed:
            raise RestError(500, "This worker is standalone: there are no other workers")
        body = await request.read()
        if herder.membership.sessioned:
            key: SessionKey | None = herder.config_store.snapshot().session_key
            try:
                signatures.verify(
                    key,
                    self._server.config["inter.worker.verification.algorithms"],
                    request.headers.get(signatures.SIGNATURE_HEADER),
                    request.headers.get(signatures.ALGORITHM_HEADER),
                    body,
                )
            except signatures.SignatureError as error:
                raise RestError(error.status, str(error)) from error
        return body

    async def put_tasks(self, request: web.Request, params: dict[str, str]) -> web.Response:
        herder = self._herder
        await self._verify(request, herder)
        configs = await read_json(request, numbers_as_text=True)
        if not isinstance(configs, list):
            raise RestError(400, "The task configurations have to be a JSON array")
        flat = [config_map(config, "A task configuration") for config in configs]

        async def work() -> web.Response:
            await herder.put_task_configs(params["name"], flat)
            return _empty(204)

        return await self._server.here_or_forwarded(request, work)

    async def fence(self, request: web.Request, params: dict[str, str]) -> web.Response:
        herder = self._herder
        await self._verify(request, herder)

        async def work() -> web.Response:
            await herder.fence_zombies(params["name"])
            return _empty(204)

        return await self._server.here_or_forwarded(request, work)


def _put_name(config: dict[str, Any], name: str) -> None:
    included = config.get("name")
    if included is None:
        config["name"] = name
    elif included != name:
        raise RestError(
            400,
            f"Connector name configuration ({included}) doesn't match connector name in the URL ({name})",
        )


def _task_number(params: dict[str, str]) -> int:
    if not re.fullmatch(r"-?\d{1,9}", params["task"]):
        raise RestError(404, "HTTP 404 Not Found")
    return int(params["task"])


def _offsets(body: Any) -> list[tuple[Any, Any]]:
    if body is not None and not isinstance(body, dict):
        raise RestError(400, "The request's body has to be a JSON object with offsets")
    for member in body or ():
        if member != "offsets":
            raise RestError(400, _REFUSED_MEMBER.format(member, "offsets"))
    listed = (body or {}).get("offsets")
    if not listed:
        raise RestError(400, "Partitions / offsets need to be provided for an alter offsets request")
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise RestError(400, "offsets has to be an array of objects with partition and offset")
    for item in listed:
        for member in item:
            if member not in ("partition", "offset"):
                raise RestError(400, _REFUSED_MEMBER.format(member, "partition, offset"))
    return [(item.get("partition"), item.get("offset")) for item in listed]
