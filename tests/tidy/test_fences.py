"""The fences of the house: what each room may import and call. See docs/architecture.md.

Layers 0 to 5 are synchronous and deterministic: time, randomness, ids and files arrive as arguments. Without
this rule a simulated run says nothing about a real one.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "pybroker"

# The rooms where the outside world is allowed, and the modules that only wire them together.
SHELL = ("runtime", "server", "cli", "__init__.py", "__main__.py", "embedding.py", "testing.py")

FORBIDDEN_MODULES = {
    "asyncio",
    "concurrent",
    "http",
    "multiprocessing",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "uvloop",
}
# module: what may be used of it (None in the set: only the names below it)
ALLOWED_NAMES = {
    "random": {"Random"},
    "uuid": {"UUID"},
    "datetime": {"UTC", "date", "datetime", "timedelta", "timezone"},
    # Names of paths and the numbers of errors are not file calls.
    "os": {"path"},
    "os.path": {
        "basename",
        "commonprefix",
        "dirname",
        "isabs",
        "join",
        "normpath",
        "relpath",
        "split",
        "splitext",
    },
}
FORBIDDEN_CALLS = {"open", "input", "print", "breakpoint", "hash"}
# Class methods of datetime that read the clock.
CLOCK_READERS = {"now", "today", "utcnow"}

FILE_MODULES = {"pathlib", "shutil", "io", "mmap", "fcntl"}
ALLOWED_FROM_FILE_MODULES = {"io": {"BytesIO"}}


def modules(*, core):
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        top = path.relative_to(PACKAGE).parts[0]
        if (top in SHELL) != core:
            found.append(path)
    return found


def relative(path):
    return str(path.relative_to(PACKAGE.parent))


def in_type_checking_block(tree):
    """Nodes below `if TYPE_CHECKING:`, which are never executed."""
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for child in node.body:
                skipped.update(id(below) for below in ast.walk(child))
    return skipped


def set_valued(node):
    """Whether an expression is a set by its looks: its order depends on the hash seed."""
    if isinstance(node, (ast.Set, ast.SetComp)):
        return True
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"set", "frozenset"}
    ):
        return True
    return isinstance(node, ast.BinOp) and (set_valued(node.left) or set_valued(node.right))


def core_offences(source):
    """Lines of a core module that break the fence, as (line, what)."""
    tree = ast.parse(source)
    skipped = in_type_checking_block(tree)
    imported = imported_names(tree)
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                if top in FORBIDDEN_MODULES or top in FILE_MODULES:
                    yield node.lineno, f"import {alias.name}"
        elif isinstance(node, ast.ImportFrom) and node.module:
            top = node.module.partition(".")[0]
            names = {alias.name for alias in node.names}
            if top in FORBIDDEN_MODULES:
                yield node.lineno, f"from {node.module} import"
                continue
            allowed = ALLOWED_FROM_FILE_MODULES.get(top, set()) if top in FILE_MODULES else None
            allowed = ALLOWED_NAMES.get(node.module, allowed)
            if allowed is not None and names - allowed:
                yield node.lineno, f"from {node.module} import {sorted(names)}"
        elif isinstance(node, ast.Attribute):
            module = ast.unparse(node.value)
            allowed = ALLOWED_NAMES.get(module) if module in imported else None
            reads_clock = node.attr in CLOCK_READERS and module.rpartition(".")[2] in {"datetime", "date"}
            if reads_clock or (allowed is not None and node.attr not in allowed):
                yield node.lineno, f"{module}.{node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in FORBIDDEN_CALLS:
                yield node.lineno, f"{node.func.id}()"
            elif node.func.id == "Random" and not node.args and not node.keywords:
                yield node.lineno, "Random() without a seed"
        elif isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)):
            yield node.lineno, "async"
        if isinstance(node, (ast.For, ast.comprehension)) and set_valued(node.iter):
            yield node.iter.lineno, "iteration over a set"
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"list", "tuple", "enumerate", "iter"}
            and node.args
            and set_valued(node.args[0])
        ):
            yield node.lineno, f"{node.func.id}() of a set"


def imported_names(tree):
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names.add(alias.asname or alias.name.partition(".")[0])
                if alias.asname is None:
                    names.add(alias.name)
    if "os" in names:
        names.add("os.path")
    return names


@pytest.mark.parametrize("path", modules(core=True), ids=relative)
def test_core_modules_are_deterministic(path):
    assert list(core_offences(path.read_text())) == []


@pytest.mark.parametrize("path", [*modules(core=True), *modules(core=False)], ids=relative)
def test_broad_except_only_at_the_two_doors(path):
    """`except Exception` belongs to server/connection.py and runtime/loop.py.

    Elsewhere a broad handler must raise again (clean-up), or be one of those that hand the error to another
    thread that waits for it.
    """
    hands_over = {"runtime/effects.py", "embedding.py"}
    name = path.relative_to(PACKAGE).as_posix()
    if name in {"server/connection.py", "runtime/loop.py"} | hands_over:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ExceptHandler):
            continue
        kinds = (
            {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else {"BaseException"}
        )
        if kinds & {"Exception", "BaseException"}:
            last = node.body[-1]
            raises_again = isinstance(last, ast.Raise) and last.exc is None
            assert raises_again, f"{name}:{node.lineno}: broad except"


@pytest.mark.parametrize("path", [*modules(core=True), *modules(core=False)], ids=relative)
def test_modules_start_alike(path):
    """A docstring that says what the module is, then postponed annotations."""
    if path.name == "version.py":
        # One line, read by the build.
        return
    tree = ast.parse(path.read_text())
    docstring = ast.get_docstring(tree)
    assert docstring, "the module has no docstring"
    rest = tree.body[1:]
    if not rest:
        return
    first = rest[0]
    assert isinstance(first, ast.ImportFrom)
    assert first.module == "__future__"


@pytest.mark.parametrize("path", modules(core=False), ids=relative)
def test_file_calls_of_the_shell_are_in_disk(path):
    """`open` and the descriptor calls of `os` are in runtime/disk.py; the ready file is in process.py."""
    name = path.relative_to(PACKAGE).as_posix()
    if name in {"runtime/disk.py", "runtime/process.py"}:
        return
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "open", f"{name}:{node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr in {
                "fspath",
                "path",
                "pathsep",
                "PathLike",
                "environ",
                "getpid",
                "nice",
                "_exit",
            }, f"{name}:{node.lineno}"


@pytest.mark.parametrize(
    ("source", "offence"),
    [
        ("import time", "import time"),
        ("import asyncio.events", "import asyncio.events"),
        ("from threading import Lock", "from threading import"),
        ("import random\nrandom.random()", "random.random"),
        ("from random import choice", "from random import ['choice']"),
        ("import os\nos.open('x', 0)", "os.open"),
        ("import os\nos.path.exists('x')", "os.path.exists"),
        ("import uuid\nuuid.uuid4()", "uuid.uuid4"),
        ("from datetime import datetime\ndatetime.now()", "datetime.now"),
        ("open('x')", "open()"),
        ("from pathlib import Path", "from pathlib import ['Path']"),
        ("for x in {1, 2}: pass", "iteration over a set"),
        ("[x for x in set(y)]", "iteration over a set"),
        ("list(a | {1})", "list() of a set"),
        ("async def f(): pass", "async"),
        ("from random import Random\nRandom()", "Random() without a seed"),
    ],
)
def test_the_fence_sees(source, offence):
    assert offence in [what for _, what in core_offences(source)]


@pytest.mark.parametrize(
    "source",
    [
        "import random\nrandom.Random(5)",
        "from random import Random\ndef f(rng: Random): rng.random()",
        "import os.path\nos.path.join('a', 'b')",
        "from datetime import UTC, datetime\ndatetime.fromtimestamp(5, UTC)",
        "from io import BytesIO",
        "for x in sorted({1, 2}): pass",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import asyncio",
        "files.open('x')",
        "x in {1, 2}",
    ],
)
def test_the_fence_lets_through(source):
    assert list(core_offences(source)) == []
