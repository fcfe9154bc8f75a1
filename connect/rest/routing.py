"""Which function answers which path, and in which form requests and answers come.

In: an HTTP request. Out: the function and the parameters of its path, or the refusal that a Java worker
would give (404, 405, 406, 415). What must hold: the parts of a path are decoded one by one, so names may
hold any character.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from aiohttp import web

from connect.runtime.herder import RestError

Handler = Callable[[web.Request, dict[str, str]], Awaitable[web.Response]]
MAX_BODY: Final = 16 << 20


class Route(NamedTuple):
    method: str
    path: str
    handler: Handler


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return web.Response(text=text, status=status, content_type="application/json", headers=headers)


def error_response(status: int, message: str) -> web.Response:
    return json_response({"error_code": status, "message": message}, status)


class Router:
    def __init__(self, routes: list[Route]) -> None:
        self._routes = [(route.method, route.path.strip("/").split("/"), route.handler) for route in routes]

    async def dispatch(self, request: web.Request) -> web.Response:
        parts = [unquote(part, errors="replace") for part in request.rel_url.raw_path.strip("/").split("/")]
        found: dict[str, tuple[Handler, dict[str, str]]] = {}
        for method, pattern, handler in self._routes:
            params = _match(pattern, parts)
            if params is not None:
                found.setdefault(method, (handler, params))
        if not found:
            return error_response(404, "HTTP 404 Not Found")
        method = request.method
        if method == "OPTIONS":
            allowed = ["HEAD"] if "GET" in found else []
            allowed += [*found, "OPTIONS"]
            return web.Response(text="", headers={"Allow": ",".join(allowed)})
        if method == "HEAD" and "GET" in found:
            method = "GET"
        if method not in found:
            return error_response(405, "HTTP 405 Method Not Allowed")
        if not _accepts_json(request.headers.get("Accept")):
            return error_response(406, "HTTP 406 Not Acceptable")
        if request.body_exists and request.content_type != "application/json":
            return error_response(415, "HTTP 415 Unsupported Media Type")
        handler, params = found[method]
        return await handler(request, params)


def _match(pattern: list[str], parts: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(parts):
        return None
    params = {}
    for expected, given in zip(pattern, parts, strict=True):
        if expected.startswith("{"):
            if not given:
                return None
            params[expected[1:-1]] = given
        elif expected != given:
            return None
    return params


def _accepts_json(accept: str | None) -> bool:
    if not accept:
        return True
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return any(kind in ("*/*", "application/*", "application/json", "") for kind in kinds)


async def read_json(request: web.Request, numbers_as_text: bool = False) -> Any:
    """The body. RestError 400 with the position when it is no JSON. A Java worker says 500."""
    body = await request.read()
    if not body:
        raise RestError(400, "The request has no body, but JSON is expected")
    try:
        if numbers_as_text:
            return json.loads(body, parse_int=str, parse_float=str)
        return json.loads(body)
    except ValueError as error:
        raise RestError(400, f"The request's body is no JSON: {error}") from error
    except RecursionError:
        raise RestError(400, "The request's body is nested too deeply") from None


def config_map(value: Any, what: str) -> dict[str, Any]:
    """A flat map of texts; numbers and booleans are taken as text, null stays null. RestError 400."""
    if not isinstance(value, dict):
        raise RestError(400, f"{what} has to be a JSON object of texts, but is {_kind(value)}")
    result: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, bool):
            result[key] = "true" if item else "false"
        elif item is None or isinstance(item, str):
            result[key] = item
        else:
            raise RestError(400, f"{what}: the value of {key!r} has to be a text, but is {_kind(item)}")
    return result


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a text or number", bool: "a boolean"}
    return names.get(type(value), "null" if value is None else "a number")
