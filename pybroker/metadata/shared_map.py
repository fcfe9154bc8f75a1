"""A mapping that never changes, of which a changed copy costs only the changes.

In: a mapping and a dict of changes. Out: a new mapping; the old one stays as it was. What must hold: every
version reads as if it had its own dict.

Only the newest version holds a dict. Deriving a version moves that dict to it, applies the changes in place
and leaves in the old version what it takes to undo them, with a link to the newer one (Baker's trick). Reads
of the newest version, the usual case, are dict reads; those of an older version look through its undo entries
first, which are merged on the way so that the path stays one step long.

Not thread safe: only the loop thread may read or derive. What another thread needs is copied out first, and
so is what is iterated over while versions are derived.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar, cast, overload

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

_ABSENT: Final = object()

REMOVED: Final = object()
"""In the changes of `SharedMap.changed`: the key goes."""


class SharedMap(Mapping[K, V]):
    """An immutable mapping with cheap changed copies; the newest iterates in the order of insertion."""

    __slots__ = ("_data", "_newer", "_size")

    def __init__(self, data: Mapping[K, V] | None = None) -> None:
        # The content of the newest version; key to old value or _ABSENT in an older one.
        self._data: dict[K, object] = dict(data) if data else {}
        self._newer: SharedMap[K, V] | None = None
        self._size = len(self._data)

    def changed(self, changes: Mapping[K, V | object]) -> SharedMap[K, V]:
        """The mapping with `changes` applied; a value of REMOVED drops the key. Self when there are none."""
        if not changes:
            return self
        if self._newer is not None:
            # A branch from an old version: it gets a dict of its own.
            return SharedMap(dict(self.items())).changed(changes)
        data = self._data
        undo: dict[K, object] = {}
        for key, value in changes.items():
            undo[key] = data.get(key, _ABSENT)
            if value is REMOVED:
                data.pop(key, None)
            else:
                data[key] = value
        newest: SharedMap[K, V] = SharedMap()
        newest._data = data
        newest._size = len(data)
        self._data = undo
        self._newer = newest
        return newest

    def _flatten(self) -> SharedMap[K, V]:
        """The newest version, with all undo entries on the way merged into this one."""
        newer = self._newer
        assert newer is not None
        while newer._newer is not None:
            merged = dict(newer._data)
            merged.update(self._data)
            self._data = merged
            newer = newer._newer
        self._newer = newer
        return newer

    def __getitem__(self, key: K) -> V:
        value = self._data.get(key, _ABSENT) if self._newer is None else self._find(key)
        if value is _ABSENT:
            raise KeyError(key)
        return cast(V, value)

    @overload
    def get(self, key: K, /) -> V | None: ...
    @overload
    def get(self, key: K, /, default: V | D) -> V | D: ...
    def get(self, key: K, /, default: object = None) -> object:
        if self._newer is None:
            return self._data.get(key, default)
        value = self._find(key)
        return default if value is _ABSENT else value

    def _find(self, key: K) -> object:
        newest = self._flatten()
        if key in self._data:
            return self._data[key]
        return newest._data.get(key, _ABSENT)

    def __contains__(self, key: object) -> bool:
        if self._newer is None:
            return key in self._data
        return self._find(cast(K, key)) is not _ABSENT

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[K]:
        if self._newer is None:
            return iter(self._data)
        return iter(self._copy())

    def _copy(self) -> dict[K, object]:
        """The content of an older version as a dict."""
        content = dict(self._flatten()._data)
        for key, value in self._data.items():
            if value is _ABSENT:
                content.pop(key, None)
            else:
                content[key] = value
        return content

    def __repr__(self) -> str:
        return f"SharedMap({dict(self.items())!r})"
