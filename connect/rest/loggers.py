"""/admin/loggers: log levels of this worker, or of all of them (KIP-495, KIP-976)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from connect.rest.routing import Route, json_response, read_json
from connect.runtime.herder import RestError
from connect.runtime.loggers import require_level

if TYPE_CHECKING:
    from connect.rest.app import RestServer


class LoggerRoutes:
    def __init__(self, server: RestServer) -> None:
        self._server = server

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/admin/loggers", self.list),
            Route("GET", "/admin/loggers/{logger}", self.one),
            Route("PUT", "/admin/loggers/{logger}", self.set_level),
        ]

    async def list(self, request: web.Request, params: dict[str, str]) -> web.Response:
        return json_response(self._server.loggers.all())

    async def one(self, request: web.Request, params: dict[str, str]) -> web.Response:
        shown = self._server.loggers.one(params["logger"])
        if shown is None:
            raise RestError(404, f"Logger {params['logger']} not found.")
        return json_response(shown)

    async def set_level(self, request: web.Request, params: dict[str, str]) -> web.Response:
        body = await read_json(request, numbers_as_text=True)
        level = body.get("level") if isinstance(body, dict) else None
        if level is None:
            raise RestError(400, "Desired 'level' parameter was not specified in request.")
        if not isinstance(level, str):
            raise RestError(404, f"invalid log level '{level}'.")
        name = params["logger"]
        if request.query.get("scope", "").lower() == "cluster":
            try:
                require_level(level)
            except ValueError as error:
                raise RestError(404, str(error)) from error
            herder = self._server.require_herder()
            await self._server.in_time(herder.set_cluster_log_level(name, level.upper()))
            return web.Response(status=204)
        try:
            return json_response(self._server.loggers.set_level(name, level))
        except ValueError as error:
            raise RestError(404, str(error)) from error
