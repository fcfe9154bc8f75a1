"""/connector-plugins: what there is, which keys it has, and whether a configuration is good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from connect.api.config_def import ConfigDef
from connect.api.errors import ConfigError
from connect.core import connector_config as cc
from connect.core import versions
from connect.core.registry import LISTED_KINDS, SINK, SOURCE, PluginVersionError
from connect.rest.routing import Route, config_map, json_response, read_json
from connect.runtime.herder import RestError

if TYPE_CHECKING:
    from connect.rest.app import RestServer


class PluginRoutes:
    def __init__(self, server: RestServer) -> None:
        self._server = server

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/connector-plugins", self.list),
            Route("GET", "/connector-plugins/{plugin}/config", self.config),
            Route("PUT", "/connector-plugins/{plugin}/config/validate", self.validate),
        ]

    async def list(self, request: web.Request, params: dict[str, str]) -> web.Response:
        plugins = self._server.require_herder().plugins
        everything = request.query.get("connectorsOnly", "true").lower() == "false"
        kinds = LISTED_KINDS if everything else (SINK, SOURCE)
        return json_response(
            [
                {"class": info.class_name, "type": info.kind, "version": info.version}
                for kind in kinds
                for info in plugins.listed(kind)
            ]
        )

    async def config(self, request: web.Request, params: dict[str, str]) -> web.Response:
        plugins = self._server.require_herder().plugins
        name = params["plugin"]
        info = plugins.find_any(name)
        if info is None:
            raise RestError(404, f"Unknown plugin {name}.")
        if info.kind not in LISTED_KINDS:
            raise RestError(
                400,
                f"Invalid plugin class {info.class_name}. Valid types are sink, source, converter, "
                "header_converter, transformation, predicate.",
            )
        version = request.query.get("version")
        try:
            versions.check_requirement(version)
            plugins.require_version(info.cls, version)
        except (ConfigError, PluginVersionError) as error:
            raise RestError(400, str(error)) from error
        definition = ConfigDef(info.cls().config_def())
        if info.kind in (SINK, SOURCE):
            common = cc.common_config(plugins, {cc.CONNECTOR_CLASS: name})
            common = cc.add_source_keys(common) if info.kind == SOURCE else cc.add_sink_keys(common)
            for key in common.keys.values():
                if key.name not in definition.keys:
                    definition.define_key(key)
        return json_response([cc.key_json(key) for key in definition.keys.values()])

    async def validate(self, request: web.Request, params: dict[str, str]) -> web.Response:
        herder = self._server.require_herder()
        wanted = params["plugin"]
        config = config_map(await read_json(request, numbers_as_text=True), "The configuration")
        included = config.get(cc.CONNECTOR_CLASS)
        if included is not None and not _plain(included).endswith(_plain(wanted)):
            raise RestError(400, f"Included connector type {included} does not match request type {wanted}")
        try:
            infos = await self._server.in_time(herder.validate(config))
        except RestError as error:
            if error.status != 400:
                raise
            # Clients know this answer of Kafka's as a wrapped error.
            raise RestError(
                500, f"org.apache.kafka.connect.runtime.rest.errors.BadRequestException: {error}"
            ) from error
        return json_response(infos.to_json())


def _plain(name: str) -> str:
    return name.removesuffix("Connector")
