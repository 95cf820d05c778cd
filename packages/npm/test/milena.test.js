'use strict';
const assert = require('node:assert/strict');
const { spawn, execFileSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { Kafka, logLevel } = require('kafkajs');
const { Milena } = require('milena');

const client = (milena) => new Kafka({ brokers: [milena.bootstrapServers], logLevel: logLevel.NOTHING });

test('a client is served', async () => {
  const milena = await Milena.start({ topics: ['orders:3'], config: { 'auto.create.topics.enable': false } });
  const kafka = client(milena);
  const producer = kafka.producer();
  await producer.connect();
  const messages = [...Array(20).keys()].map((n) => ({ key: `${n}`, value: `${n}` }));
  await producer.send({ topic: 'orders', messages });
  await producer.disconnect();
  const consumer = kafka.consumer({ groupId: 'readers' });
  await consumer.connect();
  await consumer.subscribe({ topic: 'orders', fromBeginning: true });
  const seen = new Set();
  await new Promise((resolve, reject) => {
    consumer
      .run({ eachMessage: async ({ message }) => seen.add(message.value.toString()).size === 20 && resolve() })
      .catch(reject);
  });
  await consumer.disconnect();
  assert.deepEqual([...seen].map(Number).sort((a, b) => a - b), [...Array(20).keys()]);
  assert.equal(milena.bootstrapServers, `127.0.0.1:${milena.port}`);
  assert.match(milena.log, /orders/);
  assert.ok(fs.existsSync(path.join(milena.dataDir, 'orders-2')));
  await milena.stop();
  await milena.stop();
  assert.ok(!fs.existsSync(milena.dataDir));
});

test('several at once, and a directory that is kept', async () => {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'milena-test-'));
  const [first, second] = await Promise.all([Milena.start({ dataDir }), Milena.start()]);
  assert.notEqual(first.port, second.port);
  await assert.rejects(Milena.start({ dataDir }), /lock|in use|another/i);
  await Promise.all([first.stop(), second.stop()]);
  const again = await Milena.start({ dataDir });
  assert.equal(again.clusterId, first.clusterId);
  await again.stop();
  fs.rmSync(dataDir, { recursive: true });
});

test('topics are made with their settings', async () => {
  const milena = await Milena.start();
  await milena.createTopic('prices', { partitions: 4, config: { 'cleanup.policy': 'compact' } });
  await milena.createTopic('prices');
  await assert.rejects(milena.createTopic('a b'), /topic a b: /);
  const admin = client(milena).admin();
  await admin.connect();
  const { topics } = await admin.fetchTopicMetadata({ topics: ['prices'] });
  assert.equal(topics[0].partitions.length, 4);
  const { resources } = await admin.describeConfigs({ resources: [{ type: 2, name: 'prices' }] });
  const policy = resources[0].configEntries.find((entry) => entry.configName === 'cleanup.policy');
  assert.equal(policy.configValue, 'compact');
  await admin.disconnect();
  await milena.stop();
});

test('what the broker says when it does not start', async () => {
  await assert.rejects(Milena.start({ config: { 'num.partitions': 'many' } }), /num\.partitions/);
  await assert.rejects(Milena.start({ topics: ['a:0'] }), /at least 1/);
  await assert.rejects(Milena.start({ dataDir: '/tmp/a,b' }), /comma/);
  await assert.rejects(Milena.start({ binary: '/nowhere/milena' }), /ENOENT/);
});

test('a broker ends with a program that is killed, and with one that forgets it', async () => {
  for (const end of ['process.kill(process.pid, "SIGKILL")', '0']) {
    const program = `require('milena').Milena.start().then((m) => {
      require('node:fs').writeSync(1, JSON.stringify({ pid: m.pid, dataDir: m.dataDir }));
      ${end};
    })`;
    const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [told] = await once(child.stdout, 'data');
    await once(child, 'exit');
    const { pid, dataDir } = JSON.parse(told);
    // tail knows how to wait for a process that is not its child.
    execFileSync('tail', ['--pid', `${pid}`, '-s', '0.05', '-f', '/dev/null'], { timeout: 60_000 });
    assert.ok(!fs.existsSync(dataDir), end);
  }
});

test('the command', () => {
  const command = path.join(path.dirname(require.resolve('milena')), '..', 'bin', 'milena.js');
  assert.match(execFileSync(command, ['--version'], { encoding: 'utf8' }), /^milena 0\.1\.0/);
});
