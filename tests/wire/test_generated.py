"""The generated files are what the generator writes, and stay cheap to import."""

from __future__ import annotations

import subprocess
import sys

from pybroker.wire import codec
from pybroker.wire.message import NEVER, Message
from tests.wire.samples import message_classes
from tools.generate_wire import stale


def test_generated_files_are_up_to_date():
    assert stale() == [], "run: python -m tools.generate_wire"


def test_kio_is_not_imported_at_run_time():
    code = (
        "import sys, pybroker.wire.codec as c, pybroker.wire.fast.fetch_response;"
        "c.request_class(3); assert not [m for m in sys.modules if m.split('.')[0] == 'kio']"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tables_are_consistent():
    def check(cls: type[Message]) -> None:
        assert cls.__slots__ == tuple(spec[0] for spec in cls.FIELDS)
        first, last = cls.VERSIONS
        assert 0 <= first <= last
        tags = {}
        for name, kind, low, high, nullable_from, tag, _ in cls.FIELDS:
            assert first <= low <= high <= last, (cls, name)
            assert nullable_from == -1 or low <= nullable_from <= high
            if tag >= 0:
                assert low >= cls.FLEXIBLE_FROM != NEVER
                assert tags.setdefault(tag, name) == name
            base = kind.removeprefix("[]")
            if base not in codec.FIXED and base not in ("string", "bytes", "records"):
                check(codec._nested(cls, base))

    for cls in message_classes():
        check(cls)


def test_constructor_takes_every_field_by_keyword():
    for cls in message_classes():
        values = {spec[0]: object() for spec in cls.FIELDS}
        built = cls(**values)
        assert all(getattr(built, name) is value for name, value in values.items())
