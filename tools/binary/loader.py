"""Inside the single binary: imports from the file that is running. Frozen into it under `_pybroker_loader`.

In: the view of the file and its index (layout in pack.py). Out: modules, native libraries, package data and
package metadata, for importlib; then the command line.

What must hold: what is imported here is in the interpreter itself, because nothing else can be imported yet.
Native libraries need a path to be loaded from: they are copied into anonymous memory, whose path is below
/proc; where /proc is not mounted, into a file that is deleted before the import returns.
"""

from __future__ import annotations

import _imp
import _thread
import marshal
import os
import sys
from _frozen_importlib import ModuleSpec

import _pybroker_binary

MAGIC = b"PYBROKR1"
_VIEW = _pybroker_binary.content()
_ROOT = _pybroker_binary.path + "/"
_EXECUTABLE_MEMORY = 0x10  # MFD_EXEC, since Linux 6.3


def _read_index():
    trailer = bytes(_VIEW[-24:])
    if trailer[:8] != MAGIC:
        raise SystemExit("pybroker: this file is incomplete: its end is missing")
    start, size = (int.from_bytes(trailer[at : at + 8], "little") for at in (8, 16))
    return marshal.loads(_VIEW[start : start + size])


_INDEX = _read_index()
_FILES = _INDEX["files"]  # path: (position, stored size, size when inflated or 0)
_MODULES = _INDEX["modules"]  # name: (path of its code, whether it is a package)
_EXTENSIONS = _INDEX["extensions"]  # name: path of its library
_NEEDS = _INDEX["needs"]  # path of a library: paths of the libraries to load before, in order


def _content(path):
    position, stored, inflated = _FILES[path]
    found = _VIEW[position : position + stored]
    if not inflated:
        return found
    import zlib

    return zlib.decompress(found, bufsize=inflated)


class _Loader:
    """Loader, resource reader and finder of metadata in one: they all look into the same index."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        module = _MODULES.get(name)
        if module is not None:
            code, is_package = module
            spec = ModuleSpec(name, _IMPORTER, origin=_ROOT + code, is_package=is_package)
            if is_package:
                spec.submodule_search_locations.append(spec.origin.rpartition("/")[0])
        elif name in _EXTENSIONS:
            spec = ModuleSpec(name, _IMPORTER, origin=_ROOT + _EXTENSIONS[name])
        else:
            return None
        spec.has_location = True
        return spec

    @staticmethod
    def create_module(spec):
        library = _EXTENSIONS.get(spec.name)
        if library is None:
            return None
        with _LOADING:
            for needed in _NEEDS[library]:
                if needed not in _LOADED:
                    _with_path(needed, _pybroker_binary.load_library)
                    _LOADED.add(needed)
            return _with_path(
                library, lambda path: _imp.create_dynamic(ModuleSpec(spec.name, None, origin=path))
            )

    @staticmethod
    def exec_module(module):
        name = module.__spec__.name
        if name in _MODULES:
            exec(_IMPORTER.get_code(name), module.__dict__)
        else:
            _imp.exec_dynamic(module)

    @staticmethod
    def get_code(name):
        module = _MODULES.get(name)
        return None if module is None else marshal.loads(_content(module[0]))

    @staticmethod
    def get_source(name):
        return None

    @staticmethod
    def is_package(name):
        return _MODULES.get(name, ("", False))[1]

    @staticmethod
    def get_filename(name):
        return _ROOT + (_MODULES[name][0] if name in _MODULES else _EXTENSIONS[name])

    @staticmethod
    def get_data(path):
        try:
            return bytes(_content(path.removeprefix(_ROOT)))
        except KeyError:
            raise FileNotFoundError(path) from None

    @staticmethod
    def get_resource_reader(name):
        return _Resources(_MODULES[name][0].rpartition("/")[0] + "/") if _IMPORTER.is_package(name) else None

    @staticmethod
    def find_distributions(context=None):
        return _distributions(context)


class _Resources:
    """What importlib.resources asks for the data files of one package."""

    def __init__(self, folder):
        self._folder = folder

    def open_resource(self, name):
        import io

        return io.BytesIO(_Loader.get_data(self._folder + name))

    def resource_path(self, name):
        raise FileNotFoundError(name)  # There is no file; the caller then opens it.

    def is_resource(self, name):
        return self._folder + name in _FILES

    def contents(self):
        below = (path[len(self._folder) :] for path in _FILES if path.startswith(self._folder))
        return sorted({path.partition("/")[0] for path in below})


def _distributions(context):
    from importlib.metadata import Distribution, Prepared

    class Bundled(Distribution):
        def __init__(self, folder):
            self._folder = folder

        def read_text(self, filename):
            path = f"{self._folder}/{filename}"
            return bytes(_content(path)).decode() if path in _FILES else None

        def locate_file(self, path):
            return _ROOT + str(path)

    wanted = getattr(context, "name", None)
    prefix = None if wanted is None else Prepared(wanted).normalized + "-"
    for path in _FILES:
        folder, _, name = path.partition("/")
        if name == "METADATA" and folder.endswith(".dist-info"):
            known_as = Prepared.normalize(folder.partition("-")[0]) + "-"
            if prefix is None or prefix == known_as:
                yield Bundled(folder)


# Native libraries


class _NoPlaceError(ImportError):
    """There is neither /proc nor a folder to write to. Modules that can do without a library then do."""


_LOADING = _thread.RLock()
_LOADED = set()
_memory_works = True


_FOLDER = "PYBROKER_LIBRARY_DIR"


def _with_path(library, use):
    """`use(path)` for a path under which the library can be loaded now."""
    global _memory_works
    if _memory_works:
        path = _copy_to_memory(library)
        if path is not None:
            return use(path)
        _memory_works = False
    path = _copy_to_file(library)
    try:
        return use(path)
    finally:
        os.unlink(path)


def _copy_to_memory(library):
    """The path of a copy that is no file; None where there is no /proc, or memory must not be executed."""
    name = library.rpartition("/")[2]
    for flags in (_EXECUTABLE_MEMORY, 0):
        try:
            descriptor = os.memfd_create(name, os.MFD_CLOEXEC | flags)
            break
        except OSError:
            # Older than Linux 6.3, or forbidden (vm.memfd_noexec).
            continue
    else:
        return None
    # It stays open: the dynamic linker would take a later library with the same path for this one.
    path = f"/proc/self/fd/{descriptor}"
    if not os.access(path, os.X_OK):
        os.close(descriptor)
        return None
    _copy(library, descriptor)
    return path


def _copy_to_file(library):
    name = f".pybroker-{os.urandom(6).hex()}-{library.rpartition('/')[2]}"
    reasons = []
    for folder in _writable_folders():
        path = os.path.join(folder, name)
        try:
            if os.statvfs(folder).f_flag & os.ST_NOEXEC:
                raise OSError("mounted noexec")
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700)
        except OSError as error:
            reasons.append(f"{folder}: {error.strerror or error}")
            continue
        try:
            _copy(library, descriptor)
        except OSError as error:
            os.unlink(path)
            reasons.append(f"{folder}: {error.strerror or error}")
            continue
        finally:
            os.close(descriptor)
        # For the next library, and for the programs that this one starts.
        os.environ[_FOLDER] = os.path.abspath(folder)
        return path
    raise _NoPlaceError(
        "native libraries cannot be loaded: mount /proc, or set TMPDIR to a folder that can be written "
        "and executed from; tried " + "; ".join(reasons)
    )


def _writable_folders():
    """Where a file may stand for a moment, the best first; last, what the command line names."""
    for folder in (
        os.environ.get(_FOLDER),
        os.environ.get("TMPDIR"),
        "/dev/shm",
        "/tmp",
        "/var/tmp",
        "/run",
        os.environ.get("HOME"),
        ".",
    ):
        if folder:
            yield folder
    for argument in sys.argv[1:]:
        folder = argument.rpartition("=")[2]
        while "/" in folder and not os.path.isdir(folder):
            folder = folder.rpartition("/")[0]
        if folder:
            yield folder


def _copy(library, descriptor):
    position, stored, inflated = _FILES[library]
    if inflated:
        left = memoryview(_content(library))
        while left:
            left = left[os.write(descriptor, left) :]
        return
    while stored:
        sent = os.sendfile(descriptor, _pybroker_binary.file, position, stored)
        position, stored = position + sent, stored - sent


_IMPORTER = _Loader


def run():
    try:
        _run()
    except _NoPlaceError as error:
        sys.exit(f"pybroker: {error}")


def _run():
    """The command line. `pybroker -m MODULE` runs a module, as Python does: the broker's helpers need it."""
    # After the interpreter's own modules, before sys.path.
    sys.meta_path.insert(2, _IMPORTER)
    if sys.argv[1:2] == ["-m"] and len(sys.argv) > 2:
        from runpy import run_module

        del sys.argv[:2]
        run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        return
    if os.path.basename(sys.argv[0]) == "pybroker-connect":
        from connect.cli import main

        main(prog_name="pybroker-connect")
    else:
        from pybroker.cli import main

        main(prog_name="pybroker")
