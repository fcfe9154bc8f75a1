"""`make demo`: a shop's SQLite database, streamed through topics into a second database, kept in step.

In: nothing but an installed package. Out: a broker and a Connect worker as processes of their own, a JDBC
source and a JDBC sink, rows that change for a while, a line of progress every second, and at the end a
comparison of both databases, row by row. What must hold: the exit status is 0 only when both sides are
equal; the processes end with the demo; everything lives in one temporary directory, which is removed unless
--keep is given.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

TABLES = ("customers", "products", "orders")
CHANGED = "changed TIMESTAMP NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now'))"
SCHEMA = f"""
PRAGMA journal_mode = WAL;
CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(60) NOT NULL, city VARCHAR(40), {CHANGED});
CREATE TABLE products (id INTEGER PRIMARY KEY, name VARCHAR(60) NOT NULL, price DECIMAL(10,2) NOT NULL,
                       stock INTEGER NOT NULL, {CHANGED});
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, product INTEGER NOT NULL,
                     quantity INTEGER NOT NULL, state VARCHAR(20) NOT NULL, {CHANGED});
"""
CITIES = ("Lisboa", "São Paulo", "København", "Kraków", "東京", "Zürich")
THINGS = ("teapot", "lantern", "notebook", "umbrella", "kettle", "chair", "compass", "basket")


class Shop:
    """The source database and what happens in it."""

    def __init__(self, path: Path, seed: int) -> None:
        self.database = sqlite3.connect(path, isolation_level=None, timeout=10)
        self.database.executescript(SCHEMA)
        self._random = random.Random(seed)
        self.changes = 0

    def fill(self, customers: int = 200, products: int = 400) -> None:
        rng = self._random
        self.database.execute("BEGIN")
        for n in range(customers):
            self.database.execute(
                "INSERT INTO customers (name, city) VALUES (?, ?)", (f"Customer {n}", rng.choice(CITIES))
            )
        for _ in range(products):
            self.database.execute(
                "INSERT INTO products (name, price, stock) VALUES (?, ?, ?)",
                (f"{rng.choice(THINGS)} no. {rng.randrange(1000)}", rng.randrange(100, 20000) / 100, 50),
            )
        self.database.execute("COMMIT")

    def change(self) -> None:
        """One customer's visit: an order with its effect on the stock, and now and then something else."""
        rng, run = self._random, self.database.execute
        product = rng.randrange(1, 401)
        touched = "changed = strftime('%Y-%m-%d %H:%M:%f', 'now')"
        run("BEGIN IMMEDIATE")
        run(
            "INSERT INTO orders (customer, product, quantity, state) VALUES (?, ?, ?, 'new')",
            (rng.randrange(1, 201), product, rng.randrange(1, 5)),
        )
        run(f"UPDATE products SET stock = stock - 1, {touched} WHERE id = ?", (product,))
        self.changes += 2
        if rng.random() < 0.4:
            self.changes += run(
                f"UPDATE orders SET state = 'sent', {touched} WHERE id = (SELECT id FROM orders "
                "WHERE state = 'new' ORDER BY random() LIMIT 1)"
            ).rowcount
        if rng.random() < 0.2:
            run(f"UPDATE products SET price = round(price * 1.05, 2), {touched} WHERE id = ?", (product,))
            self.changes += 1
        if rng.random() < 0.1:
            run("INSERT INTO customers (name, city) VALUES (?, NULL)", (f"Customer {rng.randrange(10**6)}",))
            self.changes += 1
        run("COMMIT")


def connectors(directory: Path) -> dict[str, dict[str, str]]:
    """As they would be posted to any Kafka Connect worker that has the JDBC connector."""
    return {
        "shop-source": {
            "connector.class": "io.confluent.connect.jdbc.JdbcSourceConnector",
            "connection.url": f"jdbc:sqlite:{directory}/shop.db",
            "mode": "timestamp+incrementing",
            "timestamp.column.name": "changed",
            "incrementing.column.name": "id",
            "validate.non.null": "false",
            "table.whitelist": ",".join(TABLES),
            "topic.prefix": "shop-",
            "poll.interval.ms": "200",
            "tasks.max": "3",
        },
        "shop-sink": {
            "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector",
            "connection.url": f"jdbc:sqlite:{directory}/warehouse.db?journal_mode=WAL",
            "topics": ",".join(f"shop-{table}" for table in TABLES),
            "table.name.format": "${topic}",
            "insert.mode": "upsert",
            "pk.mode": "record_value",
            "pk.fields": "id",
            "auto.create": "true",
            "auto.evolve": "true",
            "tasks.max": "1",
        },
    }


def worker_properties(bootstrap: str, port: int, directory: Path) -> str:
    lines = {
        "bootstrap.servers": bootstrap,
        "listeners": f"http://127.0.0.1:{port}",
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "offset.storage.file.filename": str(directory / "connect.offsets"),
        "offset.flush.interval.ms": "1000",
        "consumer.metadata.max.age.ms": "1000",
    }
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def call(url: str, body: Any = None) -> Any:
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


@contextlib.contextmanager
def process(name: str, command: list[str], directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    log_path = directory / f"{name}.log"
    with log_path.open("wb") as log:
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def wait_for(what: str, condition: Any, running: subprocess.Popen[bytes], timeout_s: float = 60) -> Any:
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(OSError, urllib.error.URLError, ValueError):
            found = condition()
            if found:
                return found
        if running.poll() is not None:
            raise click.ClickException(f"{what} ended with status {running.returncode}; see its log")
        if time.monotonic() > deadline:
            raise click.ClickException(f"{what} did not get ready within {timeout_s:.0f} s")
        time.sleep(0.05)


def rows_of(database: sqlite3.Connection, table: str) -> dict[int, tuple[Any, ...]]:
    """The rows of a table by id. Times are compared as milliseconds: the sink keeps numbers in SQLite."""
    try:
        cursor = database.execute(f'SELECT * FROM "{table}"')
    except sqlite3.OperationalError:
        return {}  # Not created yet.
    names = [column[0] for column in cursor.description]
    found = {}
    for row in cursor:
        values = dict(zip(names, row, strict=True))
        if isinstance(values["changed"], str):
            seconds, millis = database.execute(
                "SELECT strftime('%s', ?1), substr(strftime('%f', ?1), 4)", (values["changed"],)
            ).fetchone()
            values["changed"] = int(seconds) * 1000 + int(millis)
        found[values["id"]] = tuple(values[name] for name in sorted(values))
    return found


def differences(source: sqlite3.Connection, target: sqlite3.Connection) -> dict[str, tuple[int, int, int]]:
    """Per table: rows on the left, rows on the right, rows that are missing or differ."""
    found = {}
    for table in TABLES:
        left, right = rows_of(source, table), rows_of(target, f"shop-{table}")
        wrong = sum(1 for id in left.keys() | right.keys() if left.get(id) != right.get(id))
        found[table] = (len(left), len(right), wrong)
    return found


def create(rest: str, name: str, config: dict[str, str]) -> None:
    try:
        call(f"{rest}/connectors", {"name": name, "config": config})
    except urllib.error.HTTPError as error:
        raise click.ClickException(f"{name}: {error.read().decode()}") from None


def show_failures(rest: str) -> None:
    for name in ("shop-source", "shop-sink"):
        status = call(f"{rest}/connectors/{name}/status")
        for part in [status["connector"], *status["tasks"]]:
            if part["state"] == "FAILED":
                trace = part.get("trace", "").strip().splitlines()
                raise click.ClickException(f"{name} has failed: {trace[-1] if trace else ''}")


@click.command()
@click.option("--seconds", default=15, show_default=True, help="How long the shop stays open.")
@click.option("--seed", default=1, show_default=True, help="For the same customers every time.")
@click.option("--keep", is_flag=True, help="Leave the directory with databases and logs.")
def main(seconds: int, seed: int, keep: bool) -> None:
    """Stream a shop's database through pybroker and Connect into a second database."""
    started = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="pybroker-demo-"))

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - started:6.1f} s  {text}")

    try:
        with contextlib.ExitStack() as stack:
            run(stack, say, directory, seconds, seed)
    finally:
        if keep:
            click.echo(f"Everything is in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def run(stack: contextlib.ExitStack, say: Any, directory: Path, seconds: int, seed: int) -> None:
    ready = directory / "broker.ready"
    command = [sys.executable, "-m", "pybroker", "start", "--data-dir", str(directory / "broker")]
    command += ["--listen", "127.0.0.1:0", "--ready-file", str(ready)]
    broker = stack.enter_context(process("broker", command, directory))
    bootstrap = wait_for("the broker", lambda: ready.exists() and ready.read_text().strip(), broker)
    say(f"broker ready on {bootstrap}")

    port = free_port()
    properties = directory / "worker.properties"
    properties.write_text(worker_properties(bootstrap, port, directory))
    command = [sys.executable, "-m", "connect", "standalone", str(properties)]
    worker = stack.enter_context(process("connect", command, directory))
    rest = f"http://127.0.0.1:{port}"
    wait_for("Connect", lambda: call(rest + "/health")["status"] == "healthy", worker)
    say(f"Connect ready, REST API on {rest}")

    shop = Shop(directory / "shop.db", seed)
    stack.callback(shop.database.close)
    shop.fill()
    say("shop.db filled: 200 customers, 400 products")
    for name, config in connectors(directory).items():
        create(rest, name, config)
        say(f"created {name} ({config['connector.class']})")

    target = sqlite3.connect(directory / "warehouse.db", isolation_level=None, timeout=10)
    stack.callback(target.close)
    closing = time.monotonic() + seconds
    tick = time.monotonic() + 1
    while time.monotonic() < closing:
        shop.change()
        time.sleep(0.01)
        if time.monotonic() > tick:
            tick += 1
            show_failures(rest)
            found = differences(shop.database, target)
            counts = ", ".join(f"{table} {left}/{right}" for table, (left, right, _) in found.items())
            behind = sum(wrong for _, _, wrong in found.values())
            say(f"{shop.changes:5d} changes   source/target rows: {counts}   not yet there: {behind}")
    say("the shop is closed; waiting for the last rows")
    deadline = time.monotonic() + 30
    while True:
        show_failures(rest)
        found = differences(shop.database, target)
        if not any(wrong for _, _, wrong in found.values()) or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    click.echo("\n  table        shop.db   warehouse.db   different")
    for table, (left, right, wrong) in found.items():
        click.echo(f"  {table:10} {left:9d} {right:14d} {wrong:11d}")
    if any(wrong for _, _, wrong in found.values()):
        raise click.ClickException("the two databases differ")
    say(f"both databases are equal after {shop.changes} changes")


if __name__ == "__main__":
    main()
