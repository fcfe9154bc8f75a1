"""Run by the interpreter that goes into the binary: compiles all modules and writes the finished file.

In: a description in JSON (see __main__.py) on standard input. Out: the frozen header for launcher.c, or the
binary, which is

    launcher          an ELF program, which ignores what follows it
    contents          one after the other, libraries at multiples of 4,096
    index             marshalled: files, modules, extensions, needs (see loader.py)
    trailer           8 bytes magic, then position and size of the index, 8 bytes each, little-endian

What must hold: the same input gives the same bytes; no path of the building machine gets into the file.
"""

from __future__ import annotations

import json
import marshal
import sys
import zlib
from pathlib import Path
from typing import Any

MAGIC = b"PYBROKR1"
_PAGE = 4096
_FROZEN = ("__future__", "encodings", "encodings.aliases", "encodings.utf_8")


def compiled(source: Path, shown: str) -> bytes:
    code = compile(source.read_bytes(), shown, "exec", dont_inherit=True, optimize=0)
    return marshal.dumps(code)


def write_header(library: Path, loader: Path, target: Path) -> None:
    """The modules that must be there before any can be found: C arrays, and the table of them."""
    lines, rows = [], []
    for name in (*_FROZEN, "_pybroker_loader"):
        path = library.joinpath(*name.split("."))
        is_package = path.is_dir()
        source = path / "__init__.py" if is_package else path.with_suffix(".py")
        if name == "_pybroker_loader":
            source = loader
        code = compiled(source, f"{name}.py")
        symbol = f"module_{name.replace('.', '_')}"
        lines.append(f"static const unsigned char {symbol}[] = {{{','.join(map(str, code))}}};")
        rows.append(f'    {{"{name}", {symbol}, sizeof {symbol}, {int(is_package)}, NULL}},')
    lines += ["static const struct _frozen FROZEN_TABLE[] = {", *rows, "    {NULL, NULL, 0, 0, NULL},", "};"]
    target.write_text("\n".join(lines) + "\n")


def write_binary(wish: dict[str, Any]) -> None:
    files: dict[str, tuple[int, int, int]] = {}
    modules: dict[str, tuple[str, bool]] = {}
    target = Path(wish["target"])
    with target.open("wb") as out:
        out.write(Path(wish["launcher"]).read_bytes())

        def add(path: str, content: bytes, deflate: bool, align: int = 1) -> None:
            position = -(-out.tell() // align) * align
            out.write(bytes(position - out.tell()))
            stored = zlib.compress(content, 9) if deflate else content
            out.write(stored)
            files[path] = (position, len(stored), len(content) if deflate else 0)

        for path, source, deflate in wish["sources"]:
            shown = path.removesuffix("c")
            add(path, compiled(Path(source), shown), deflate)
            parts = path.removesuffix(".pyc").split("/")
            is_package = parts[-1] == "__init__"
            modules[".".join(parts[:-1] if is_package else parts)] = (path, is_package)
        for path, source, deflate in wish["libraries"]:
            add(path, Path(source).read_bytes(), deflate, 1 if deflate else _PAGE)
        for path, source in wish["data"]:
            add(path, Path(source).read_bytes(), True)
        index = {
            "files": files,
            "modules": modules,
            "extensions": wish["extensions"],
            "needs": {path: tuple(needs) for path, needs in wish["needs"].items()},
        }
        start = out.tell()
        content = marshal.dumps(index)
        out.write(content)
        out.write(MAGIC + start.to_bytes(8, "little") + len(content).to_bytes(8, "little"))
    target.chmod(0o755)


def main() -> None:
    wish = json.load(sys.stdin)
    if "header" in wish:
        write_header(Path(wish["library"]), Path(wish["loader"]), Path(wish["header"]))
    else:
        write_binary(wish)


if __name__ == "__main__":
    main()
