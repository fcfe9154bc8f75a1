"""Names of tables and columns: taken apart, quoted, and matched.

What must hold: no name, whatever it contains, can end the place it is put at in a statement. A name is either
quoted with every quote in it doubled, or made only of letters, digits, `_`, `$` and `#`; a name with a NUL is
refused. `quoting` is one of

    needed  quotes when the database would read the bare name as another one (the default)
    always  quotes everywhere
    never   never quotes, and refuses a name that cannot stand bare
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from connect.jdbc.types import Column, TableId

MAX_NAME_LENGTH = 1024

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE = re.compile(r"[^\W\d][\w$#]*")

_RESERVED_WORDS = """
    absolute access action add admin after aggregate alias all allocate alter analyse analyze and
    any are array as asc asensitive assertion asymmetric at atomic audit authorization backup before
    begin between bigint binary bit blob boolean both breadth break browse bulk by call called
    cardinality cascade cascaded case cast catalog ceil ceiling change char character check
    checkpoint class clob close cluster clustered coalesce collate collation collect column comment
    commit completion compress compute concurrently condition connect connection constraint
    constraints constructor contains containstable continue convert copy corresponding count create
    cross cube current current_date current_time current_timestamp current_user cursor cycle data
    database databases date day dbcc deallocate dec decimal declare default deferrable deferred
    delayed delete deny depth deref desc describe deterministic diagnostics disconnect disk distinct
    distributed div domain double drop dual dump dynamic each else elseif enclosed end equals errlvl
    escape escaped every except exception exclusive exec execute exists exit explain external false
    fetch file fillfactor filter first float float4 float8 for force foreign found free freetext
    freeze from full fulltext function general generated get glob global go goto grant group
    grouping groups having high_priority hold holdlock host hour identified identity ignore ilike
    immediate in increment index indicator infile initial initially inner inout input insensitive
    insert int integer intersect interval into invisible is isnull isolation iterate join key keys
    kill language large last lateral lead leading leave left less level like limit linear lines load
    local localtime localtimestamp lock long longblob longtext loop low_priority map match
    maxextents maxvalue mediumblob merge method minus minute mod mode modifies modify month names
    national natural nchar new next no noaudit nocheck nocompress nonclustered none not notnull
    nowait null nullif number numeric object of off offline offset old on online only open operation
    optimize option or order ordinality out outer outfile over overlaps pad parameter parameters
    partial partition path pctfree percent pivot plan position postfix precision prefix prepare
    preserve primary prior privileges proc procedure public purge raiserror range rank raw read
    reads real recursive ref references referencing regexp relative release rename repeat replace
    replication require reserve resignal resource restore restrict result return returning returns
    revert revoke right rlike role rollback rollup row rowcount rowguidcol rowid rownum rows rule
    save savepoint schema schemas scope scroll search second section select semantickeyphrasetable
    sensitive separator sequence session session_user set sets setuser share show shutdown signal
    similar size smallint some space spatial specific sql sqlexception sqlstate sqlwarning ssl start
    starting state statement static statistics structure successful symmetric synonym sysdate system
    system_user table tablesample temporary terminate terminated textsize than then time timestamp
    timezone_hour timezone_minute tinyint to top trailing tran transaction translation treat trigger
    trim true truncate tsequal uid under undo union unique unknown unlock unnest unpivot unsigned
    update updatetext usage use user using utc_date utc_time utc_timestamp validate value values
    varbinary varchar varchar2 variable variadic varying verbose view waitfor when whenever where
    while window with within without work write xor year zerofill zone
"""

# Words that the databases of dialects/ do not take as a bare column or table name; a superset does no harm,
# as quoting one more name does not change its meaning.
RESERVED = frozenset(word for line in _RESERVED_WORDS.splitlines() for word in line.split())


class IdentifierError(ValueError):
    """A name that cannot be used in a statement."""


def check_name(name: str, what: str = "name") -> None:
    if not name:
        raise IdentifierError(f"an empty {what}")
    if "\x00" in name:
        raise IdentifierError(f"the {what} {name!r} holds a NUL character")
    if len(name) > MAX_NAME_LENGTH:
        raise IdentifierError(f"a {what} of {len(name)} characters, more than {MAX_NAME_LENGTH}")


class Quoter:
    """`opening` and `closing` are the dialect's quotes. `fold` says what the database makes of a bare name:
    `lower`, `upper`, or `keep` when it keeps the case or ignores it."""

    def __init__(self, opening: str, closing: str, fold: str, quoting: str = "needed") -> None:
        self.opening = opening
        self.closing = closing
        self.fold = fold
        self.quoting = quoting

    def exact(self, name: str) -> str:
        """The name as the catalogue has it."""
        check_name(name)
        if self.quoting == "never":
            if not _BARE.fullmatch(name):
                raise IdentifierError(
                    f"the name {name!r} can only be used in quotes, and quoting is switched off in the "
                    "configuration"
                )
            return name
        if self.quoting == "needed" and self._is_plain(name):
            return name
        return self.quoted(name)

    def new(self, name: str) -> str:
        """The name of something to be created: in a database that folds, `id` becomes what `id` means
        there."""
        if (
            self.quoting == "needed"
            and _PLAIN.fullmatch(name)
            and name.lower() not in RESERVED
            and (name == name.lower() or (self.fold == "upper" and name == name.upper()))
        ):
            return name
        return self.exact(name)

    def quoted(self, name: str) -> str:
        return self.opening + name.replace(self.closing, self.closing * 2) + self.closing

    def _is_plain(self, name: str) -> bool:
        if not _PLAIN.fullmatch(name) or name.lower() in RESERVED:
            return False
        if self.fold == "lower":
            return name == name.lower()
        if self.fold == "upper":
            return name == name.upper()
        return True


def split_table_name(text: str, quoter: Quoter) -> tuple[str, ...]:
    """`a.b.c` in its parts; a part in quotes may hold dots. IdentifierError for more than three parts."""
    parts: list[str] = []
    at = 0
    opening, closing = quoter.opening, quoter.closing
    while True:
        if text.startswith(opening, at):
            part = ""
            at += 1
            while True:
                end = text.find(closing, at)
                if end < 0:
                    raise IdentifierError(f"the quote in the table name {text!r} is not closed")
                part += text[at:end]
                at = end + 1
                if not text.startswith(closing, at):
                    break
                part += closing
                at += 1
            if at < len(text) and text[at] != ".":
                raise IdentifierError(f"text after the closing quote in the table name {text!r}")
        else:
            end = text.find(".", at)
            end = len(text) if end < 0 else end
            part, at = text[at:end], end
        check_name(part, "part of a table name")
        parts.append(part)
        if at >= len(text):
            break
        at += 1
    if len(parts) > 3:
        raise IdentifierError(
            f"the table name {text!r} has {len(parts)} parts, more than catalog.schema.table"
        )
    return tuple(parts)


def match_columns(names: Iterable[str], columns: Iterable[Column]) -> dict[str, Column | None]:
    """Each name with its column: the one of exactly that name, or else the only one that differs by case."""
    exact = {column.name: column for column in columns}
    folded: dict[str, list[Column]] = {}
    for column in exact.values():
        folded.setdefault(column.name.casefold(), []).append(column)
    found: dict[str, Column | None] = {}
    for name in names:
        similar = folded.get(name.casefold(), [])
        found[name] = exact.get(name) or (similar[0] if len(similar) == 1 else None)
    return found


def table_id(parts: tuple[str, ...], *, schema_is_catalog: bool = False) -> TableId:
    if len(parts) == 3:
        return TableId(*parts)
    if len(parts) == 2:
        return TableId(parts[0], None, parts[1]) if schema_is_catalog else TableId(None, parts[0], parts[1])
    return TableId(None, None, parts[0])
