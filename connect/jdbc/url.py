"""What `connection.url` says: a `jdbc:` URL of any listed database, or an SQLAlchemy URL.

In: the text, and the user and password of their own keys, which win over those in the text. Out: a
`DatabaseUrl`, or a `UrlError` that says what is wrong without repeating any secret. Pure: nothing is looked
up and nothing is opened.

What must hold: a password is never part of `str()` of anything here, nor of an error. Percent-encoding is
undone exactly once. A property that would make a driver run code or read files of the worker is refused; one
that has no meaning here is returned by name in `ignored`, so that it can be logged once.

A database is added by a parser in `_PARSERS` (and a dialect in `dialects/`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, unquote_plus

MAX_URL_LENGTH = 8192


class UrlError(ValueError):
    """The URL cannot be used; the message is fit for a user and holds no secret."""


@dataclass(frozen=True)
class DatabaseUrl:
    """Where a database is. `driver` names the way there: psycopg, pymysql, sqlite, sqlalchemy or jpype."""

    dialect: str
    driver: str
    hosts: tuple[tuple[str, int | None], ...] = ()
    database: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    ignored: tuple[str, ...] = ()
    # For driver sqlalchemy: the name before `://` and the query of the SQLAlchemy URL.
    sqlalchemy_name: str = ""
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    # For driver jpype: the text as given, which the jar's own driver reads.
    jdbc: str = field(default="", repr=False)

    @property
    def host(self) -> str | None:
        return self.hosts[0][0] if self.hosts else None

    @property
    def port(self) -> int | None:
        return self.hosts[0][1] if self.hosts else None

    def __str__(self) -> str:
        """Fit for logs and errors: no user, no password, no properties."""
        places = ",".join(
            (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
            for host, port in self.hosts
        )
        if self.driver == "jpype":
            return f"{mask(self.jdbc)} (by its JDBC driver)"
        if not places:
            return f"{self.dialect}:{self.database or ''}"
        return f"{self.dialect}://{places}/{self.database or ''}"


# Properties by which a URL makes a driver run code, load classes, or read and write files of the worker.
_DANGEROUS = {
    "socketfactory", "socketfactoryarg", "sslfactory", "sslfactoryarg", "sslpasswordcallback",
    "sslhostnameverifier", "authenticationpluginclassname", "loggerfile", "loggerlevel",
    "autodeserialize", "allowloadlocalinfile", "allowurlinlocalinfile", "allowloadlocalinfileinpath",
    "localinfile", "local_infile", "queryinterceptors", "statementinterceptors", "exceptioninterceptors",
    "connectionlifecycleinterceptors", "propertiestransform", "clientinfoprovider", "socksproxyhost",
    "init", "trace_level_file", "enable_load_extension", "jaasapplicationname", "read_default_file",
    "init_command", "service", "passfile", "unix_socket", "plugin_dir", "auth_plugin_map",
}  # fmt: skip

_SECRET_KEYS = re.compile(
    r"(?i)\b(password|pwd|passwd|pass|sslpassword|secret|token|trustStorePassword|keyStorePassword)(\s*=\s*)([^&;\s]*)"
)
_ORACLE_USER_INFO = re.compile(r"(?i)(jdbc:oracle:\w+:)([^/@\s]+)/([^@\s]*)@")


def mask(text: str) -> str:
    """The text of a URL with whatever may be a password replaced by ***."""
    text = _ORACLE_USER_INFO.sub(r"\1\2/***@", text)
    text = re.sub(
        r"//([^/?#]*)@",
        lambda match: "//" + match[1].split(":", 1)[0] + ":***@" if ":" in match[1] else match[0],
        text,
    )
    return _SECRET_KEYS.sub(r"\1\2***", text)


def parse_url(
    text: str,
    *,
    user: str | None = None,
    password: str | None = None,
    properties: Mapping[str, str] | None = None,
    dialect_name: str = "",
    jars: bool = False,
) -> DatabaseUrl:
    """Raises UrlError. `properties` are other `connection.*` keys, stronger than those of the URL.
    `dialect_name` is the key `dialect.name`: `jdbc` asks for the driver jar whatever the subprotocol. `jars`
    tells whether driver jars are there, which decides what becomes of an unknown subprotocol."""
    if not text or not text.strip():
        raise UrlError("the URL is empty")
    text = text.strip()
    if len(text) > MAX_URL_LENGTH:
        raise UrlError(f"the URL has {len(text)} characters, more than {MAX_URL_LENGTH}")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise UrlError("the URL holds a control character")
    if text[:5].lower() == "jdbc:":
        parsed = _parse_jdbc(text, dialect_name, jars)
    else:
        parsed = _parse_sqlalchemy(text)
    merged = {
        **parsed.properties,
        **{key: value for key, value in (properties or {}).items() if value is not None},
    }
    for key in merged:
        _refuse_dangerous(key)
    in_url = _take(merged, "user", "username", "uid"), _take(merged, "password", "pwd")
    found_user = user or in_url[0] or parsed.user
    found_password = password or in_url[1] or parsed.password
    known = _KNOWN_PROPERTIES.get(parsed.driver)
    ignored = () if known is None else tuple(sorted(key for key in merged if key.lower() not in known))
    return replace(
        parsed, user=found_user or None, password=found_password, properties=merged, ignored=ignored
    )


# What each driver of ours understands (lower case); everything else is ignored and logged by name.
_KNOWN_PROPERTIES: dict[str, set[str]] = {
    "psycopg": {
        "currentschema", "ssl", "sslmode", "sslrootcert", "sslcert", "sslkey", "applicationname",
        "application_name", "connecttimeout", "connect_timeout", "logintimeout", "sockettimeout",
        "tcpkeepalive", "options", "targetservertype", "defaultrowfetchsize", "defaultfetchsize",
        "rewritebatchedinserts", "rewritebatchedstatements", "preparethreshold", "stringtype",
        "channelbinding", "gssencmode", "readonly",
    },
    "pymysql": {
        "usessl", "requiressl", "ssl", "sslmode", "sslrootcert", "servertimezone", "useunicode",
        "characterencoding", "charset", "connecttimeout", "connect_timeout", "logintimeout",
        "sockettimeout", "rewritebatchedstatements", "usecursorfetch", "defaultfetchsize",
        "allowpublickeyretrieval", "zerodatetimebehavior", "tinyint1isbit", "usecompression",
        "sessionvariables", "serversslcert", "cachepreparedstatements", "usebulkstmts",
    },
    "sqlite": {
        "busy_timeout", "journal_mode", "foreign_keys", "synchronous", "open_mode", "mode", "date_class",
    },
}  # fmt: skip


def _refuse_dangerous(key: str) -> None:
    if key.lower().replace("-", "_") in _DANGEROUS or key.lower().replace("_", "") in _DANGEROUS:
        raise UrlError(
            f"the property {key!r} is refused: it can make a driver run code or read the worker's files"
        )


def _take(properties: dict[str, str], *names: str) -> str | None:
    found = None
    for key in list(properties):
        if key.lower() in names:
            value = properties.pop(key)
            found = found if found is not None else value
    return found


# ---- jdbc: URLs ----


def _parse_jdbc(text: str, dialect_name: str, jars: bool) -> DatabaseUrl:
    rest = text[5:]
    subprotocol, separator, _ = rest.partition(":")
    subprotocol = subprotocol.lower()
    if not separator or not re.fullmatch(r"[a-z][a-z0-9.+_-]*", subprotocol):
        raise UrlError("expected jdbc:SUBPROTOCOL:..., for example jdbc:postgresql://host:5432/database")
    parser = _PARSERS.get(subprotocol)
    if dialect_name.lower() == "jdbc" or parser is None:
        if not jars:
            known = ", ".join(sorted(_PARSERS))
            raise UrlError(
                f"no driver is known for jdbc:{subprotocol}: (known: {known}); for any other database put "
                "its JDBC driver jar on plugin.path and install the extra pybroker[jdbc]"
            )
        _refuse_dangerous_in(rest)
        return DatabaseUrl(dialect=_JAR_DIALECTS.get(subprotocol, "generic"), driver="jpype", jdbc=text)
    return parser(rest[len(subprotocol) + 1 :], subprotocol)


_JAR_DIALECTS = {
    "postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql", "sqlite": "sqlite", "oracle": "oracle",
    "sqlserver": "sqlserver", "db2": "db2", "derby": "derby", "h2": "h2", "hsqldb": "hsqldb",
    "netezza": "netezza", "ingres": "ingres", "vector": "ingres",
}  # fmt: skip


def _refuse_dangerous_in(text: str) -> None:
    for name in re.findall(r"(?:^|[?&;:,])\s*([A-Za-z_.\-]+)\s*=", text):
        _refuse_dangerous(name)


def _split_pairs(text: str, separator: str, *, decode: bool) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in text.split(separator):
        if not item:
            continue
        name, _, value = item.partition("=")
        name = unquote_plus(name) if decode else name.strip()
        if not name:
            raise UrlError("a property without a name")
        pairs[name] = unquote_plus(value) if decode else value
    return pairs


def _parse_port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:9]) < 65536:
        raise UrlError(f"{text[:40]!r} is not a port between 1 and 65535")
    return int(text)


_HOST = re.compile(r"[A-Za-z0-9._\-]+")


def _parse_host(text: str, what: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[ipv6]`, `[ipv6]:port`."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not re.fullmatch(r"[0-9A-Fa-f:.%]+", host):
            raise UrlError(f"an IPv6 address of {what} is not closed or not valid")
        if rest and not rest.startswith(":"):
            raise UrlError(f"text after the IPv6 address of {what}")
        return host, _parse_port(rest[1:]) if rest else None
    host, colon, port = text.partition(":")
    if not _HOST.fullmatch(host):
        raise UrlError(f"{host[:60]!r} is not a host name")
    return host, _parse_port(port) if colon else None


def _parse_authority(
    rest: str, what: str, *, many_hosts: bool
) -> tuple[tuple[tuple[str, int | None], ...], str | None, str | None, str]:
    """`//[user[:password]@]host[:port][,...][/...]` -> hosts, user, password, what follows the hosts."""
    if not rest.startswith("//"):
        raise UrlError(f"expected // and a host after {what}:")
    end = len(rest)
    for mark in "/?;":
        at = rest.find(mark, 2)
        if at >= 0:
            end = min(end, at)
    authority, tail = rest[2:end], rest[end:]
    user = password = None
    if "@" in authority:
        info, _, authority = authority.rpartition("@")
        user, colon, secret = info.partition(":")
        user, password = unquote(user), unquote(secret) if colon else None
    if not authority:
        authority = "localhost"
    names = authority.split(",")
    if len(names) > 1 and not many_hosts:
        raise UrlError(f"{len(names)} hosts are given, and the {what} driver takes one")
    return tuple(_parse_host(name, what) for name in names), user, password, tail


def _parse_postgresql(rest: str, _: str) -> DatabaseUrl:
    properties: dict[str, str] = {}
    if rest.startswith("//"):
        hosts, user, password, tail = _parse_authority(rest, "postgresql", many_hosts=True)
        path, _, query = tail.partition("?")
        database = unquote(path[1:]) or None
    else:  # jdbc:postgresql:database and jdbc:postgresql:/
        path, _, query = rest.partition("?")
        hosts, user, password, database = (("localhost", None),), None, None, unquote(path.strip("/")) or None
    properties = _split_pairs(query, "&", decode=True)
    _refuse_path(database)
    return DatabaseUrl("postgresql", "psycopg", hosts, database, user, password, properties)


def _refuse_path(database: str | None) -> None:
    if database is not None and "\x00" in database:
        raise UrlError("the name of the database holds a NUL")


def _parse_mysql(rest: str, name: str) -> DatabaseUrl:
    for mode in ("loadbalance:", "replication:", "sequential:", "aurora:"):
        if rest.lower().startswith(mode):
            raise UrlError(f"{name}:{mode} is not supported: name one host")
    hosts, user, password, tail = _parse_authority(rest, name, many_hosts=False)
    path, _, query = tail.partition("?")
    database = unquote(path[1:]) or None
    _refuse_path(database)
    properties = _split_pairs(query, "&", decode=True)
    return DatabaseUrl("mysql", "pymysql", hosts, database, user, password, properties)


def _parse_sqlite(rest: str, _: str) -> DatabaseUrl:
    path, _, query = rest.partition("?")
    # Everything up to the question mark is the file's name, as the Java driver has it: no decoding.
    path = path[len("file:") :] if path.startswith("file:") else path
    if path.startswith(":resource:"):
        raise UrlError("sqlite: :resource: is Java's and has no meaning here")
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    if not path:
        path = ":memory:"
    if "\x00" in path:
        raise UrlError("the name of the file holds a NUL")
    return DatabaseUrl("sqlite", "sqlite", (), path, properties=_split_pairs(query, "&", decode=True))


def _parse_oracle(rest: str, _: str) -> DatabaseUrl:
    kind, _, target = rest.partition(":")
    if kind.lower() != "thin":
        raise UrlError("of the oracle URLs only jdbc:oracle:thin: is supported")
    info, at, place = target.rpartition("@")
    if not at:
        raise UrlError("expected jdbc:oracle:thin:@//host:port/service or jdbc:oracle:thin:@host:port:sid")
    user, slash, password = info.partition("/")
    common = {
        "dialect": "oracle", "driver": "sqlalchemy", "sqlalchemy_name": "oracle+oracledb",
        "user": user or None, "password": password if slash else None,
    }  # fmt: skip
    if place.startswith("("):
        return DatabaseUrl(**common, query={"dsn": place})  # type: ignore[arg-type]
    if place.startswith("//") or "/" in place:
        address, _, service = place.removeprefix("//").partition("/")
        service, _, query = service.partition("?")
        if not service:
            raise UrlError("the service name is missing after the last /")
        host = _parse_host(address, "oracle")
        return DatabaseUrl(
            **common, hosts=(host,), query={"service_name": service},  # type: ignore[arg-type]
            properties=_split_pairs(query, "&", decode=True),
        )  # fmt: skip
    parts = place.rsplit(":", 2)
    if len(parts) != 3 or not parts[2]:
        raise UrlError("expected host:port:sid after jdbc:oracle:thin:@")
    host = _parse_host(f"{parts[0]}:{parts[1]}", "oracle")
    return DatabaseUrl(**common, hosts=(host,), database=parts[2])  # type: ignore[arg-type]


def _parse_sqlserver(rest: str, _: str) -> DatabaseUrl:
    if rest.lower().startswith("sqlserver:"):  # jdbc:microsoft:sqlserver:
        rest = rest[len("sqlserver:") :]
    if not rest.startswith("//"):
        raise UrlError("expected // after sqlserver:")
    place, _, tail = rest[2:].partition(";")
    properties = _split_braced(tail)
    instance = _take(properties, "instancename", "instance")
    name = _take(properties, "servername", "server")
    place = place or name or "localhost"
    port_text = _take(properties, "portnumber", "port")
    if "\\" in place:
        place, _, rest_of_place = place.partition("\\")
        instance, colon, port = rest_of_place.partition(":")
        place += f":{port}" if colon else ""
    host, port_number = _parse_host(place.rstrip("/"), "sqlserver")
    if port_number is None and port_text:
        port_number = _parse_port(port_text)
    if instance:
        host = f"{host}\\{instance}"
    database = _take(properties, "databasename", "database")
    query = {"driver": "ODBC Driver 18 for SQL Server"}
    encrypt = _take(properties, "encrypt")
    if encrypt is not None:
        query["Encrypt"] = {"true": "yes", "false": "no"}.get(encrypt.lower(), encrypt)
    trust = _take(properties, "trustservercertificate")
    if trust is not None:
        query["TrustServerCertificate"] = {"true": "yes", "false": "no"}.get(trust.lower(), trust)
    return DatabaseUrl(
        "sqlserver", "sqlalchemy", ((host, port_number),), database,
        properties=properties, sqlalchemy_name="mssql+pyodbc", query=query,
    )  # fmt: skip


def _split_braced(text: str) -> dict[str, str]:
    """`a=b;c={x;y}`: in braces a semicolon is plain text, and }} is a brace."""
    pairs: dict[str, str] = {}
    at = 0
    while at < len(text):
        if text[at] in "; ":
            at += 1
            continue
        equals = text.find("=", at)
        if equals < 0:
            raise UrlError("a property without a value")
        name = text[at:equals].strip()
        at = equals + 1
        if at < len(text) and text[at] == "{":
            value = ""
            at += 1
            while True:
                end = text.find("}", at)
                if end < 0:
                    raise UrlError(f"the brace of the property {name[:40]!r} is not closed")
                value += text[at:end]
                at = end + 1
                if at < len(text) and text[at] == "}":
                    value += "}"
                    at += 1
                    continue
                break
        else:
            end = text.find(";", at)
            end = len(text) if end < 0 else end
            value, at = text[at:end], end
        pairs[name] = value
    return pairs


def _parse_netezza(rest: str, _: str) -> DatabaseUrl:
    hosts, user, password, tail = _parse_authority(rest, "netezza", many_hosts=False)
    path, _, more = tail.removeprefix("/").partition(";")
    database = unquote(path) or None
    if database is None:
        raise UrlError("the database is missing: jdbc:netezza://host:5480/database")
    host, port = hosts[0]
    return DatabaseUrl(
        "netezza", "sqlalchemy", ((host, port or 5480),), database, user, password,
        properties=_split_pairs(more, ";", decode=False), sqlalchemy_name="netezza+nzpy",
    )  # fmt: skip


def _parse_ingres(rest: str, name: str) -> DatabaseUrl:
    if not rest.startswith("//"):
        raise UrlError(f"expected // and a host after {name}:")
    place, _, more = rest[2:].partition(";")
    address, slash, database = place.partition("/")
    if not slash or not database:
        raise UrlError(f"the database is missing: jdbc:{name}://host:VW7/database")
    host, _, port = address.partition(":")
    if not _HOST.fullmatch(host):
        raise UrlError(f"{host[:60]!r} is not a host name")
    # The port is an installation's code such as VW7 or II, sometimes a number: the ODBC driver reads both.
    if port and not re.fullmatch(r"[A-Za-z][A-Za-z0-9]\d?|\d{1,5}", port):
        raise UrlError(f"{port[:40]!r} is neither a port nor an installation such as VW7")
    properties = _split_pairs(more, ";", decode=False)
    query = {"servertype": "INGRES", "server": f"@{host},tcp_ip,{port}" if port else host}
    return DatabaseUrl(
        "ingres", "sqlalchemy", ((host, None),), unquote(database),
        properties=properties, sqlalchemy_name="ingres+pyodbc", query=query,
    )  # fmt: skip


def _parse_db2(rest: str, _: str) -> DatabaseUrl:
    hosts, user, password, tail = _parse_authority(rest, "db2", many_hosts=False)
    database, _, more = tail.removeprefix("/").partition(":")
    if not database:
        raise UrlError("the database is missing: jdbc:db2://host:50000/database")
    return DatabaseUrl(
        "db2", "sqlalchemy", hosts, unquote(database), user, password,
        properties=_split_pairs(more, ";", decode=False), sqlalchemy_name="db2+ibm_db",
    )  # fmt: skip


def _with_vendor(dialect: str, sqlalchemy_name: str) -> Callable[[str, str], DatabaseUrl]:
    def parse(rest: str, name: str) -> DatabaseUrl:
        hosts, user, password, tail = _parse_authority(rest, name, many_hosts=False)
        path, _, query = tail.partition("?")
        return DatabaseUrl(
            dialect, "sqlalchemy", hosts, unquote(path.removeprefix("/")) or None, user, password,
            properties=_split_pairs(query, "&", decode=True), sqlalchemy_name=sqlalchemy_name,
        )  # fmt: skip

    return parse


_PARSERS: dict[str, Callable[[str, str], DatabaseUrl]] = {
    "postgresql": _parse_postgresql,
    "postgres": _parse_postgresql,
    "mysql": _parse_mysql,
    "mariadb": _parse_mysql,
    "sqlite": _parse_sqlite,
    "oracle": _parse_oracle,
    "sqlserver": _parse_sqlserver,
    "microsoft": _parse_sqlserver,
    "netezza": _parse_netezza,
    "ingres": _parse_ingres,
    "vector": _parse_ingres,
    "db2": _parse_db2,
    "vertica": _with_vendor("generic", "vertica+vertica_python"),
    "sap": _with_vendor("generic", "hana+hdbcli"),
    "clickhouse": _with_vendor("generic", "clickhousedb"),
    "snowflake": _with_vendor("generic", "snowflake"),
}


# ---- SQLAlchemy URLs ----


_SQLALCHEMY_NAMES = {
    "postgresql": ("postgresql", "psycopg"), "postgres": ("postgresql", "psycopg"),
    "mysql": ("mysql", "pymysql"), "mariadb": ("mysql", "pymysql"), "sqlite": ("sqlite", "sqlite"),
    "oracle": ("oracle", "sqlalchemy"), "mssql": ("sqlserver", "sqlalchemy"),
    "netezza": ("netezza", "sqlalchemy"),
    "ingres": ("ingres", "sqlalchemy"), "vector": ("ingres", "sqlalchemy"), "db2": ("db2", "sqlalchemy"),
    "ibm_db_sa": ("db2", "sqlalchemy"),
}  # fmt: skip


def _parse_sqlalchemy(text: str) -> DatabaseUrl:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    if not re.match(r"[A-Za-z][A-Za-z0-9_]*(\+[A-Za-z0-9_]+)?://", text):
        raise UrlError(
            "expected jdbc:SUBPROTOCOL:... or an SQLAlchemy URL such as postgresql://host:5432/database"
        )
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise UrlError("the text is not a valid SQLAlchemy URL (is the port a number?)") from None
    name = url.get_backend_name()
    dialect, driver = _SQLALCHEMY_NAMES.get(name, ("generic", "sqlalchemy"))
    query = {key: value if isinstance(value, str) else value[-1] for key, value in url.query.items()}
    for key in query:
        _refuse_dangerous(key)
    hosts: tuple[tuple[str, int | None], ...] = ()
    if url.host:
        if url.port is not None:
            _parse_port(str(url.port))
        hosts = ((url.host, url.port),)
    elif driver not in ("sqlite", "sqlalchemy"):
        hosts = (("localhost", url.port),)
    database = url.database
    if driver == "sqlite":
        database = database or ":memory:"
    return DatabaseUrl(
        dialect, driver, hosts, database, url.username, url.password,
        properties=query if driver != "sqlalchemy" else {},
        sqlalchemy_name=url.drivername if driver == "sqlalchemy" else "",
        query=query if driver == "sqlalchemy" else {},
    )  # fmt: skip
