// node --test: a broker on a free port, in memory, for the tests of this file.
import assert from "node:assert";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import kafkajs from "kafkajs";

export async function startBroker(...properties) {
  const program = process.env.PYBROKER ?? "pybroker";
  const settings = properties.flatMap((property) => ["--set", property]);
  const broker = spawn(program, ["start", "--in-memory", "--listen", "127.0.0.1:0", ...settings], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  // A test run that is interrupted must not leave it behind.
  process.on("exit", () => broker.kill("SIGKILL"));
  // Its one line says where it serves: "pybroker 0.1.0 ready: 127.0.0.1:40123 (node 1, ...)".
  const [line] = await Promise.race([
    once(broker.stdout.setEncoding("utf8"), "data"),
    once(broker, "exit").then(([status]) => { throw new Error(`pybroker ended with ${status}`); }),
  ]);
  const stop = async () => {
    broker.kill("SIGTERM");
    const [status] = await once(broker, "exit");
    assert.equal(status, 0);
  };
  return { address: line.match(/ ready: (\S+) /)[1], stop };
}

let broker;
before(async () => { broker = await startBroker(); });
after(() => broker.stop());

test("produces and consumes", async () => {
  const kafka = new kafkajs.Kafka({ brokers: [broker.address], logLevel: kafkajs.logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: "orders" }] });
  await admin.disconnect();
  const producer = kafka.producer();
  await producer.connect();
  await producer.send({ topic: "orders", messages: [{ value: "order 1" }] });
  await producer.disconnect();
  const consumer = kafka.consumer({ groupId: "test", maxWaitTimeInMs: 50 });
  await consumer.connect();
  await consumer.subscribe({ topics: ["orders"], fromBeginning: true });
  const value = await new Promise((resolve) => {
    consumer.run({ eachMessage: async ({ message }) => resolve(message.value.toString()) });
  });
  await consumer.disconnect();
  assert.equal(value, "order 1");
});
