"""docs/recipes: a broker as a plain process in the tests of other languages, run as they stand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import facilities
from tests.processes import die_with_parent
from tools import interop

pytestmark = pytest.mark.interop

RECIPES = interop.REPOSITORY / "docs" / "recipes"

JAVA_TEST = """\
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.serialization.*;

public class UsesIt {
    public static void main(String[] arguments) throws Exception {
        try (var broker = new PybrokerProcess("num.partitions=1")) {
            Map<String, Object> settings = Map.of("bootstrap.servers", broker.bootstrapServers);
            try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
                producer.send(new ProducerRecord<>("orders", "order 1")).get();
            }
            try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
                var partition = List.of(new TopicPartition("orders", 0));
                consumer.assign(partition);
                consumer.seekToBeginning(partition);
                for (var record : consumer.poll(java.time.Duration.ofSeconds(30))) System.out.println(record.value());
            }
        }
        try (var broker = new PybrokerProcess("no.such=1")) {
        } catch (java.io.IOException error) {
            System.out.println(error.getMessage().contains("no.such") ? "refused" : error.getMessage());
        }
    }
}
"""


def run(folder: Path, *command: str, **variables: str) -> str:
    environment = {**os.environ, "PYBROKER": str(Path(sys.executable).parent / "pybroker"), **variables}
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    result = subprocess.run(
        command,
        cwd=folder,
        env={**environment, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        preexec_fn=die_with_parent,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_java(tmp_path: Path) -> None:
    facilities.require("kafka")
    shutil.copy(RECIPES / "PybrokerProcess.java", tmp_path)
    (tmp_path / "UsesIt.java").write_text(JAVA_TEST)
    path = f"{interop.kafka_lib()}/*:{tmp_path}"
    run(tmp_path, "javac", "-proc:none", "-cp", path, "PybrokerProcess.java", "UsesIt.java")
    own = f"-Djava.io.tmpdir={tmp_path / 'temporary'}"
    out = run(tmp_path, "java", "-XX:TieredStopAtLevel=1", own, "-cp", path, "UsesIt")
    assert out.splitlines()[-2:] == ["order 1", "refused"]


def test_node(tmp_path: Path) -> None:
    facilities.require("kafkajs")
    shutil.copy(RECIPES / "pybroker.test.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(interop.kafkajs_directory() / "node_modules")
    run(tmp_path, "node", "--test", "pybroker.test.mjs")


def test_go(tmp_path: Path) -> None:
    facilities.require("go")
    shutil.copy(RECIPES / "pybroker_test.go", tmp_path)
    module = (interop.franz_go_source() / "go.mod").read_text().splitlines()
    (tmp_path / "go.mod").write_text("\n".join(["module recipes", *module[1:]]) + "\n")
    shutil.copy(interop.franz_go_source() / "go.sum", tmp_path)
    # Built without optimisation, and not looked at twice.
    run(tmp_path, "go", "test", "-vet=off", "-mod=mod", "./...", GOFLAGS="-buildvcs=false")
