// Drives the Kafka modules of Testcontainers for Node.js, with a client of the same language: modules.js [MODULE..]
import { KafkaContainer } from "@testcontainers/kafka";
import { RedpandaContainer } from "@testcontainers/redpanda";
import kafkajs from "kafkajs";

const port = (container) => `${container.getHost()}:${container.getMappedPort(9093)}`;
const modules = {
  kraft: [() => new KafkaContainer("confluentinc/cp-kafka:8.0.0").withKraft(), port],
  "kraft-formatted": [() => new KafkaContainer("confluentinc/cp-kafka:7.2.2").withKraft(), port],
  zookeeper: [() => new KafkaContainer(), port],
  redpanda: [() => new RedpandaContainer(), (container) => container.getBootstrapServers()],
};

// What is produced is consumed, by a group.
async function exchange(broker) {
  const kafka = new kafkajs.Kafka({ brokers: [broker], logLevel: kafkajs.logLevel.NOTHING });
  const written = Array.from({ length: 10 }, (_, number) => `order ${number}`);
  const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  await producer.connect();
  await producer.send({ topic: "orders", messages: written.map((value) => ({ key: "key", value })) });
  await producer.disconnect();

  const consumer = kafka.consumer({ groupId: "readers" });
  await consumer.connect();
  await consumer.subscribe({ topic: "orders", fromBeginning: true });
  const read = [];
  await new Promise((resolve, reject) => {
    const clock = setTimeout(() => reject(new Error(`nothing more after ${read}`)), 20000);
    const eachMessage = async ({ message }) => {
      if (read.push(message.value.toString()) === written.length) {
        clearTimeout(clock);
        resolve();
      }
    };
    consumer.run({ eachMessage }).catch(reject);
  });
  await consumer.disconnect();
  if (read.join() !== written.join()) throw new Error(`read ${read}`);
}

const names = process.argv.slice(2);
for (const name of names.length > 0 ? names : Object.keys(modules)) {
  const [make, broker] = modules[name];
  const container = await make().start();
  try {
    await exchange(broker(container));
  } finally {
    await container.stop();
  }
  console.log("ok", name);
}
