"""Connect's core is synchronous and deterministic: the outside world comes in as arguments."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CONNECT = Path(__file__).resolve().parents[2] / "connect"
FORBIDDEN = {
    "aiohttp", "asyncio", "concurrent", "confluent_kafka", "http", "io", "logging", "os", "secrets", "shutil", "signal", "socket", "ssl", "subprocess",
    "tempfile", "threading", "time", "uuid",
}  # fmt: skip


@pytest.mark.parametrize("path", sorted((CONNECT / "core").rglob("*.py")), ids=lambda path: path.name)
def test_core_imports_nothing_that_waits(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
            if node.module == "random":
                assert {alias.name for alias in node.names} == {"Random"}
            if node.module == "pathlib":
                assert {alias.name for alias in node.names} == {"PurePosixPath"}
        for name in names:
            assert name.split(".")[0] not in FORBIDDEN, f"{path.name}:{node.lineno} imports {name}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "print", "input"}, f"{path.name}:{node.lineno}"
        assert not isinstance(node, ast.AsyncFunctionDef), f"{path.name}:{node.lineno} is async"
