"""Builds `dist/pybroker`, one executable with interpreter, packages and native libraries: `make binary`.

In: an interpreter that comes as a static library (Debian's python3-dev has one), a C compiler, and the
packages that pyproject.toml names, fetched as wheels. Out: one file that needs the C library and nothing
else; docs/adr tells why it is made this way.

    python -m tools.binary [--output dist/pybroker] [--python /usr/bin/python3] [--cache build/binary]

What must hold: what the wheels and the interpreter link against is inside, or is the C library; the same
sources and packages give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

HERE: Final = Path(__file__).resolve().parent
REPOSITORY: Final = HERE.parents[1]

# Time zones for machines that have none.
_MORE_PACKAGES: Final = ("tzdata",)
# Parts of the standard library and of packages that no command can use. (frozenlist has the same in Python;
# its library alone would bring that of C++.)
_LEFT_OUT: Final = re.compile(
    r"(test|idlelib|tkinter|turtle\.py|turtledemo|lib2to3|ensurepip|venv|distutils|pydoc_data|config-|site-packages|"
    r"dist-packages|lib-dynload|antigravity\.py|this\.py|__pycache__|sitecustomize\.py|pydoc\.py|sqlalchemy/testing|"
    r"zstandard/_cffi|frozenlist/_frozenlist|bin/|msgpack/fallback|_distutils_hack|curses/|dbm/|ctypes/test|unittest/test|_pyrepl)"
)
_EXTENSIONS_LEFT_OUT: Final = re.compile(
    r"(_test|xx|_xx|_tkinter|_curses|_dbm|_gdbm|nis|ossaudiodev|readline|_ctypes_test|_crypt|audioop|_typing)"
)
_C_LIBRARY: Final = re.compile(
    r"(linux-vdso|ld-linux.*|libc|libm|libdl|libpthread|librt|libutil|libresolv)[.-]"
)
_DATA: Final = re.compile(
    r"\.dist-info/(METADATA|entry_points\.txt|top_level\.txt|LICEN|COPYING|NOTICE|licenses/)"
)


class BuildError(Exception):
    """What stands in the way, and what to do about it."""


class Base(NamedTuple):
    """The interpreter that goes into the binary."""

    executable: str
    version: str
    standard_library: Path
    extensions: Path
    include: str
    static_library: Path
    link_flags: list[str]


_DESCRIBE: Final = """
import json, sys, sysconfig as s
get = s.get_config_var
flags = " ".join(get(name) for name in ("LIBS", "SYSLIBS", "MODLIBS")).split()
print(json.dumps([sys.version, s.get_path("stdlib"), get("DESTSHARED"), s.get_path("include"),
      get("LIBPL") + "/" + get("LIBRARY"), flags, list(sys.version_info[:2])]))
"""


def find_base(wanted: str | None) -> Base:
    """The given interpreter, or else the system's, or else the running one. BuildError when none will do."""
    complaints = []
    running = os.path.realpath(sys.executable)
    for executable in [wanted] if wanted else ["/usr/bin/python3", running]:
        try:
            described = json.loads(_run([executable, "-I", "-c", _DESCRIBE]))
        except (OSError, BuildError) as error:
            complaints.append(f"{executable}: {error}")
            continue
        version, library, extensions, include, static, flags, number = described
        if number < [3, 11]:
            complaints.append(f"{executable} is older than 3.11")
        elif not Path(static).exists() or not Path(include, "Python.h").exists():
            complaints.append(f"{executable} has no {static} or no Python.h in {include}")
        else:
            return Base(executable, version, Path(library), Path(extensions), include, Path(static), flags)
    raise BuildError(
        "no interpreter with a static library (Debian: apt-get install python3-dev): " + "; ".join(complaints)
    )


def requirements() -> list[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["connect"], *_MORE_PACKAGES]


def fetch_packages(base: Base, cache: Path) -> Path:
    """The wheels of everything but pybroker itself, unpacked, their libraries without debugging symbols."""
    wanted = requirements()
    key = hashlib.sha256(json.dumps([wanted, base.version]).encode()).hexdigest()[:16]
    folder = cache / f"packages-{key}"
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    fetched = cache / f"fetching-{os.getpid()}"
    pip = [sys.executable, "-m", "pip", "--python", base.executable, "--disable-pip-version-check"]
    environment = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    command = [
        *pip,
        "install",
        "--quiet",
        "--no-compile",
        "--only-binary",
        ":all:",
        "--target",
        str(fetched),
        *wanted,
    ]
    _run(command, environment)
    for library in sorted(fetched.rglob("*.so*")):
        _run(["strip", "--strip-unneeded", str(library)])
    for old in cache.glob("packages-*"):
        shutil.rmtree(old, ignore_errors=True)
    fetched.rename(folder)
    return folder


class Contents:
    """What goes into the file: sources, libraries with what they need, data. Paths are those in the file.

    What a start needs (`hot`) is stored as it is, the rest deflated.
    """

    def __init__(self, hot: frozenset[str]) -> None:
        self._hot = hot
        self.sources: list[tuple[str, str, bool]] = []
        self.libraries: dict[str, tuple[str, bool]] = {}
        self.data: list[tuple[str, str]] = []
        self.extensions: dict[str, str] = {}
        self.needs: dict[str, list[str]] = {}
        self.system: set[str] = set()
        self._root = Path()

    def add_folder(self, root: Path) -> None:
        """A folder of modules and packages, as on sys.path."""
        self._root = root
        for path in sorted(root.rglob("*")):
            inner = path.relative_to(root).as_posix()
            if not path.is_file() or _LEFT_OUT.match(inner) or "/__pycache__/" in inner:
                continue
            if inner.endswith(".py"):
                self.add_source(inner, path)
            elif ".so" in path.name and ".libs/" not in inner:
                self.add_extension(inner, path)
            elif _DATA.search(inner) or inner.startswith("tzdata/"):
                self.data.append((inner, str(path)))

    def add_source(self, inner: str, path: Path) -> None:
        name = inner.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        # The broker imports its handlers with the first request of each kind.
        self.sources.append(
            (inner + "c", str(path), name not in self._hot and not name.startswith("pybroker."))
        )

    def add_extension(self, inner: str, path: Path) -> None:
        name = inner.partition(".")[0].replace("/", ".")
        self.extensions[name] = inner
        self._add_library(inner, path, name not in self._hot)

    def add_standard_extensions(self, folder: Path) -> None:
        self._root = folder
        for path in sorted(folder.glob("*.so")):
            if not _EXTENSIONS_LEFT_OUT.match(path.name):
                self.add_extension(path.name, path)

    def _add_library(self, inner: str, path: Path, cold: bool) -> None:
        """The library and, before it, what it needs. One that is needed at a start is not deflated."""
        if inner in self.libraries and (cold or not self.libraries[inner][1]):
            return
        found = _linked(path)
        order: list[str] = []
        for name in _needed(path):
            if _C_LIBRARY.match(name):
                self.system.add(name)
                continue
            source = found.get(name)
            if source is None:
                raise BuildError(f"{path} needs {name}, which is not on this machine")
            inside = source.is_relative_to(self._root)
            needed = source.relative_to(self._root).as_posix() if inside else f"lib/{name}"
            self._add_library(needed, source, cold)
            order += [each for each in (*self.needs[needed], needed) if each not in order]
        self.needs[inner] = order
        self.libraries[inner] = (str(path), cold)


def _needed(library: Path) -> list[str]:
    return re.findall(r"\(NEEDED\).*\[(.*)\]", _run(["readelf", "--dynamic", "--wide", str(library)]))


def _linked(library: Path) -> dict[str, Path]:
    """Name to file of everything that a library is linked against, as the dynamic linker finds it here."""
    lines = _run(["ldd", str(library)])
    return {name: Path(os.path.normpath(target)) for name, target in re.findall(r"(\S+) => (/\S+) ", lines)}


def build(output: Path, wanted_python: str | None, cache: Path) -> None:
    base = find_base(wanted_python)
    packages = fetch_packages(base, cache)
    contents = Contents(_used_by_a_start(base, packages))
    contents.add_standard_extensions(base.extensions)
    contents.add_folder(base.standard_library)
    contents.add_folder(packages)
    for package in ("pybroker", "connect"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            contents.add_source(path.relative_to(REPOSITORY).as_posix(), path)
    work = cache / f"work-{os.getpid()}"
    work.mkdir(parents=True)
    try:
        launcher = _compile_launcher(base, work, sorted(contents.system))
        finished = work / "pybroker"
        wish = {
            "target": str(finished),
            "launcher": str(launcher),
            "sources": contents.sources,
            "libraries": [(inner, *rest) for inner, rest in contents.libraries.items()],
            "data": contents.data,
            "extensions": contents.extensions,
            "needs": contents.needs,
        }
        _pack(base, wish)
        output.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all, and a binary that is running goes on running.
        staged = output.with_name(output.name + ".new")
        shutil.copy2(finished, staged)
        staged.replace(output)
    finally:
        shutil.rmtree(work)


_START: Final = """
import json, sys
sys.path[:0] = sys.argv[1:]
import pybroker.cli.start, pybroker.runtime.process
from pybroker import Broker
with Broker():
    print(json.dumps(sorted(sys.modules)))
"""


def _used_by_a_start(base: Base, packages: Path) -> frozenset[str]:
    """The modules that a broker imports until it serves, and `zlib`, which inflates the rest."""
    names = json.loads(_run([base.executable, "-I", "-c", _START, str(REPOSITORY), str(packages)]))
    return frozenset(names) | {"zlib"}


def _compile_launcher(base: Base, work: Path, system: Sequence[str]) -> Path:
    _pack(
        base,
        {
            "header": str(work / "frozen.h"),
            "library": str(base.standard_library),
            "loader": str(HERE / "loader.py"),
        },
    )
    launcher = work / "launcher"
    # Static where there is a static library: the machine that runs it may have none. All of the interpreter,
    # since extension modules use what the launcher itself does not.
    flags = [_static(flag) for flag in dict.fromkeys(base.link_flags)]
    command = [
        "gcc",
        "-O2",
        "-no-pie",
        "-I",
        base.include,
        "-I",
        str(work),
        str(HERE / "launcher.c"),
        "-o",
        str(launcher),
    ]
    command += ["-Wl,--whole-archive", str(base.static_library), "-Wl,--no-whole-archive", *flags]
    command += ["-Wl,--export-dynamic", "-Wl,--exclude-libs,libz.a:libexpat.a", "-Wl,--build-id=none", "-s"]
    # The parts of the C library that the libraries inside need are named here too, for whoever copies what
    # `ldd` says.
    command += [
        "-Wl,--no-as-needed",
        *(f"-l:{name}" for name in system if not name.startswith(("ld-", "linux-"))),
    ]
    _run(command)
    return launcher


def _static(flag: str) -> str:
    return {"-lz": "-l:libz.a", "-lexpat": "-l:libexpat.a"}.get(flag, flag)


def _pack(base: Base, wish: dict[str, Any]) -> None:
    _run([base.executable, "-I", str(HERE / "pack.py")], given=json.dumps(wish))


def _run(command: Sequence[str], environment: dict[str, str] | None = None, given: str | None = None) -> str:
    """The standard output of a program; BuildError with what it said when it fails."""
    if shutil.which(command[0]) is None:
        raise BuildError(f"{command[0]} is not installed (Debian: apt-get install gcc binutils python3-dev)")
    result = subprocess.run(
        command,
        env=environment,
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        text=True,
    )
    if result.returncode:
        said = (result.stdout + result.stderr).strip()[-4000:]
        raise BuildError(f"{' '.join(command)[:300]} ended with {result.returncode}:\n{said}")
    return result.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools.binary", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=REPOSITORY / "dist" / "pybroker")
    parser.add_argument("--python", help="the interpreter that goes in; by default the system's")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / "build" / "binary")
    parser.add_argument("--fetch-only", action="store_true", help="fetch the packages and build nothing")
    options = parser.parse_args(arguments)
    try:
        if options.fetch_only:
            fetch_packages(find_base(options.python), options.cache.absolute())
            return 0
        build(options.output.absolute(), options.python, options.cache.absolute())
    except BuildError as error:
        print(f"tools.binary: {error}", file=sys.stderr)
        return 1
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
