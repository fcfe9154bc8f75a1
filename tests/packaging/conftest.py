"""What the tests of packaging share: the binary and the wheel, built once for each state of the sources."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import facilities
from tools import interop

REPOSITORY = interop.REPOSITORY


def _once(name: str, parts: list[str], make: Callable[[Path], None]) -> Path:
    """`make(path)` once for each content of these files and folders, also with several test processes."""
    digest = hashlib.sha256(sys.version.encode())
    for part in parts:
        path = REPOSITORY / part
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(REPOSITORY)}\0".encode() + file.read_bytes())
    folder = interop.cache_directory() / "packaging"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}-{digest.hexdigest()[:16]}"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            unfinished = folder / f"unfinished-{name}"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            for old in folder.glob(f"{name}-*"):
                shutil.rmtree(old)
            unfinished.rename(target)
    return target


def _run(*command: str) -> None:
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="session")
def binary() -> Path:
    """What `make binary` makes."""
    facilities.require("binary")
    cache = interop.cache_directory() / "packaging-wheels"

    def make(folder: Path) -> None:
        _run(
            sys.executable, "-m", "tools.binary", "--output", str(folder / "pybroker"), "--cache", str(cache)
        )

    return _once("binary", ["pybroker", "connect", "tools/binary", "pyproject.toml"], make) / "pybroker"


@pytest.fixture(scope="session")
def distributions() -> Path:
    """The folder with what `make dist` makes: one wheel, one source package."""

    def make(folder: Path) -> None:
        # Beside the sources, setuptools would leave its own folders.
        sources = folder / "sources"
        for part in ("pybroker", "connect"):
            shutil.copytree(REPOSITORY / part, sources / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
            if (REPOSITORY / part).exists():
                shutil.copy(REPOSITORY / part, sources / part)
        # What the build needs is in the dev extra.
        _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(sources))
        shutil.rmtree(sources)

    parts = ["pybroker", "connect", "pyproject.toml", "README.md"]
    return _once("dist", parts, make)


@pytest.fixture(scope="session")
def requirements() -> Path:
    """A folder with the wheels that pybroker requires, without any extra."""

    def make(folder: Path) -> None:
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        _run(*command, "--only-binary", ":all:", "--dest", str(folder), *project["dependencies"])

    return _once("requirements", ["pyproject.toml"], make)
