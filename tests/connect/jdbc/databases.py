"""Real database servers for tests, started on first use and shared by the session.

In: the name of a kind of database. Out: a `TestDatabase`: a namespace of its own in the running server (a
schema in PostgreSQL, a database in MariaDB, a file for SQLite), with its JDBC URL. What must hold: servers
listen on loopback only, keep everything in a temporary directory, run as another user than root, and end
with the run.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.processes import die_with_parent, free_port, wait_until

PASSWORD = "s3cret/word"
_numbers = itertools.count(1)


def program(name: str) -> str | None:
    """Where a server's program is: Debian keeps PostgreSQL's out of the PATH."""
    found = shutil.which(name)
    if found is not None:
        return os.path.realpath(found)
    places = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        Path("/usr/sbin"),
        Path("/usr/bin"),
    ]
    return next((str(place / name) for place in places if (place / name).exists()), None)


def _unprivileged() -> str | None:
    """The user to run servers as, when we are root, whom they refuse."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "mysql", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None


class _ServerProcess:
    def __init__(self) -> None:
        self.user = _unprivileged()
        self.directory = Path(tempfile.mkdtemp(prefix="pybroker-db-"))
        self.directory.chmod(0o755)
        self.data = self.directory / "data"
        self.data.mkdir(mode=0o700)
        if self.user is not None:
            shutil.chown(self.directory, self.user)
            shutil.chown(self.data, self.user)
        self.port = free_port()
        self.log = (self.directory / "server.log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *command: str) -> None:
        result = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, user=self.user, cwd=self.directory,
            env={**os.environ, "LC_ALL": "C", "HOME": str(self.directory)},
        )  # fmt: skip
        assert result.returncode == 0, f"{command[0]}: {result.stdout}{result.stderr}"

    def launch(self, *command: str) -> None:
        # The death signal is set before the user is changed, which would clear it: set it after.
        wanted = pwd.getpwnam(self.user) if self.user is not None else None

        def prepare() -> None:
            if wanted is not None:
                os.setgroups([])
                os.setgid(wanted.pw_gid)
                os.setuid(wanted.pw_uid)
            die_with_parent()

        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=prepare,
            cwd=self.directory, env={**os.environ, "LC_ALL": "C", "HOME": str(self.directory)},
        )  # fmt: skip

    def await_ready(self, attempt: Any) -> None:
        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, (self.directory / "server.log").read_text(errors="replace")[
                -3000:
            ]
            try:
                attempt()
            except Exception:
                return False
            return True

        wait_until(ready, f"{type(self).__name__} to answer", 60)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class PostgresServer(_ServerProcess):
    def __init__(self) -> None:
        super().__init__()
        initdb, postgres = program("initdb"), program("postgres")
        assert initdb is not None
        assert postgres is not None
        password = self.directory / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self.run(
            initdb, "-D", str(self.data), "-U", "tester", "--auth=scram-sha-256", f"--pwfile={password}", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip
        self.launch(
            postgres, "-D", str(self.data), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
            "-c", f"unix_socket_directories={self.directory}", "-c", "fsync=off", "-c", "max_connections=60",
            "-c", "max_prepared_transactions=4", "-c", "TimeZone=UTC",
        )  # fmt: skip
        self.await_ready(lambda: self.connect().close())

    def connect(self, **options: Any) -> Any:
        import psycopg

        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="tester", password=PASSWORD, dbname="postgres", autocommit=True,
            **options,
        )  # fmt: skip


class MariadbServer(_ServerProcess):
    def __init__(self) -> None:
        super().__init__()
        install, server = program("mariadb-install-db"), program("mariadbd")
        assert install is not None
        assert server is not None
        self.run(
            install, "--no-defaults", f"--datadir={self.data}", "--auth-root-authentication-method=normal",
            "--skip-test-db", "--skip-name-resolve",
        )  # fmt: skip
        self.launch(
            server, "--no-defaults", f"--datadir={self.data}", f"--port={self.port}", "--bind-address=127.0.0.1",
            f"--socket={self.directory}/mariadb.sock", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin",
            "--innodb-buffer-pool-size=32M", "--skip-name-resolve", "--character-set-server=utf8mb4",
            f"--pid-file={self.directory}/mariadb.pid",
        )  # fmt: skip
        self.await_ready(lambda: self.connect("root", "").close())
        with contextlib.closing(self.connect("root", "")) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE USER tester@'%%' IDENTIFIED BY %s", [PASSWORD])
            cursor.execute("GRANT ALL ON *.* TO tester@'%'")

    def connect(self, user: str = "tester", password: str = PASSWORD, **options: Any) -> Any:
        import pymysql

        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=user, password=password, autocommit=True, charset="utf8mb4",
            **options,
        )  # fmt: skip


class TestDatabase:
    """A namespace of a test's own. `execute` and `query` are the test's own way in, beside the connector."""

    __test__ = False
    kind = ""
    url = ""
    user: str | None = "tester"
    password: str | None = PASSWORD

    def config(self) -> dict[str, str]:
        found = {"connection.url": self.url}
        if self.user is not None:
            found["connection.user"] = self.user
        if self.password is not None:
            found["connection.password"] = self.password
        return found

    def execute(self, statement: str, *parameters: Any) -> None:
        raise NotImplementedError

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        raise NotImplementedError

    def quote(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def close(self) -> None:
        pass


class _CursorDatabase(TestDatabase):
    connection: Any

    def execute(self, statement: str, *parameters: Any) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters) if parameters else cursor.execute(statement)

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters) if parameters else cursor.execute(statement)
            return list(cursor.fetchall())


class PostgresDatabase(_CursorDatabase):
    kind = "postgresql"

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.schema = f"s{os.getpid()}_{next(_numbers)}"
        self.connection = server.connect(options=f"-csearch_path={self.schema}")
        self.execute(f"CREATE SCHEMA {self.schema}")
        self.url = f"jdbc:postgresql://127.0.0.1:{server.port}/postgres?currentSchema={self.schema}"

    def config(self) -> dict[str, str]:
        # Other tests' schemas are in the same database.
        return {**super().config(), "schema.pattern": self.schema.replace("_", "\\_")}

    def connect(self) -> Any:
        return self.server.connect(options=f"-csearch_path={self.schema}")

    def close(self) -> None:
        # A connector that a failed test left behind must not hold the run up.
        self.execute("SET lock_timeout = '5s'")
        with contextlib.suppress(Exception):
            self.execute(f"DROP SCHEMA {self.schema} CASCADE")
        self.connection.close()


class MariadbDatabase(_CursorDatabase):
    kind = "mariadb"

    def __init__(self, server: MariadbServer) -> None:
        self.server = server
        self.name = f"d{os.getpid()}_{next(_numbers)}"
        self.connection = server.connect()
        self.execute(f"CREATE DATABASE {self.name} CHARACTER SET utf8mb4")
        self.execute(f"USE {self.name}")
        self.url = f"jdbc:mariadb://127.0.0.1:{server.port}/{self.name}"

    def connect(self) -> Any:
        return self.server.connect(database=self.name)

    def quote(self, name: str) -> str:
        return "`" + name.replace("`", "``") + "`"

    def close(self) -> None:
        self.execute("SET lock_wait_timeout = 5")
        with contextlib.suppress(Exception):
            self.execute(f"DROP DATABASE {self.name}")
        self.connection.close()


class SqliteDatabase(TestDatabase):
    kind = "sqlite"
    user = None
    password = None

    def __init__(self, directory: Path) -> None:
        self.path = directory / f"test-{next(_numbers)}.db"
        self.connection = sqlite3.connect(self.path, isolation_level=None, timeout=10)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.url = f"jdbc:sqlite:{self.path}"

    def connect(self) -> Any:
        return sqlite3.connect(self.path, isolation_level=None, timeout=10)

    def execute(self, statement: str, *parameters: Any) -> None:
        self.connection.execute(self._marked(statement, parameters), parameters)

    @staticmethod
    def _marked(statement: str, parameters: tuple[Any, ...]) -> str:
        return statement.replace("%s", "?") if parameters else statement

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(self._marked(statement, parameters), parameters).fetchall()

    def close(self) -> None:
        self.connection.close()
