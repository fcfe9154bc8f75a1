"""The wheel in an empty virtual environment, and what is in wheel and source package."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from pybroker.version import VERSION
from tests.processes import PybrokerProcess
from tools import interop

# The first one builds, and fetches what the wheel requires.
pytestmark = pytest.mark.timeout(600)


def one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


@pytest.fixture
def wheel(distributions: Path) -> Path:
    return one(distributions, "*.whl")


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return message_from_bytes(archive.read(f"pybroker-{VERSION}.dist-info/METADATA"))


def test_what_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = f"pybroker-{VERSION}.dist-info"
    top = {name.partition("/")[0] for name in names}
    assert top == {"pybroker", "connect", info}
    assert {f"{info}/licenses/LICENSE", "pybroker/py.typed", "connect/py.typed"} <= names
    modules = {f"pybroker/{p.relative_to(interop.REPOSITORY / 'pybroker')}" for p in
               (interop.REPOSITORY / "pybroker").rglob("*.py")}  # fmt: skip
    assert modules <= names


def test_metadata(wheel: Path) -> None:
    found = metadata(wheel)
    assert (found["Name"], found["Version"], found["License-Expression"]) == (
        "pybroker",
        VERSION,
        "Apache-2.0",
    )
    assert found["Requires-Python"] == ">=3.11"
    assert found["Summary"]
    assert found["Description-Content-Type"] == "text/markdown"
    project = tomllib.loads((interop.REPOSITORY / "pyproject.toml").read_text())["project"]
    assert set(found.get_all("Provides-Extra") or ()) == set(project["optional-dependencies"])
    assert "Typing :: Typed" in (found.get_all("Classifier") or ())


def test_what_is_in_the_source_package(distributions: Path) -> None:
    with tarfile.open(one(distributions, "*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "pybroker/cli/start.py", "connect/cli.py"} <= names


class InstalledProcess(PybrokerProcess):
    program = Path()

    def command(self) -> list[str]:
        return [str(self.program), *super().command()[3:]]


def test_every_console_script_of_an_empty_environment(
    wheel: Path, requirements: Path, tmp_path: Path
) -> None:
    """Nothing but the wheel and what it requires: no extra, nothing of this checkout."""
    home = tmp_path / "environment"
    venv.create(home)
    python = str(home / "bin" / "python")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-index",
    ]
    subprocess.run([*pip, "--find-links", str(requirements), str(wheel)], check=True, cwd=tmp_path)

    def run(*command: str, status: int = 0) -> str:
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"PATH": "/bin"})
        assert result.returncode == status, result.stdout + result.stderr
        return result.stdout + result.stderr

    scripts = {
        name for name in (path.name for path in (home / "bin").iterdir()) if name.startswith("pybroker")
    }
    assert scripts == {"pybroker", "pybroker-connect"}
    pybroker, connect = str(home / "bin" / "pybroker"), str(home / "bin" / "pybroker-connect")
    assert VERSION in run(pybroker, "--version")
    for command in ("start", "connect", "dump-log"):
        assert command in run(pybroker, "--help")
        assert "Usage:" in run(pybroker, command, "--help")
    assert "distributed" in run(connect, "--help")
    # Without the extra, Connect says what to install.
    properties = tmp_path / "worker.properties"
    properties.write_text(
        "bootstrap.servers=127.0.0.1:1\nkey.converter=JsonConverter\nvalue.converter=JsonConverter\n"
        f"offset.storage.file.filename={tmp_path}/offsets\n"
    )
    assert "pip install 'pybroker[connect]'" in run(connect, "standalone", str(properties), status=3)
    InstalledProcess.program = Path(pybroker)
    broker = InstalledProcess(tmp_path / "broker")
    assert broker.data_dir is not None
    segment = next(broker.data_dir.glob("__cluster_metadata-0/*.log"))
    assert "baseOffset: 0" in run(pybroker, "dump-log", str(segment))
    broker.stop()
    embedded = (
        "import pybroker, sys\n"
        "with pybroker.Broker() as broker: print(broker.port)\n"
        "assert 'site-packages' in pybroker.__file__, pybroker.__file__"
    )
    assert int(run(python, "-c", embedded)) > 0
