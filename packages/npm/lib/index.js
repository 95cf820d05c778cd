'use strict';
// A broker of one's own: a child process that ends with this one, whatever ends it.

const { spawn } = require('node:child_process');
const net = require('node:net');
const { find } = require('./binary.js');

// What a start may take on a machine that is busy with something else; a broker takes milliseconds.
const START_TIMEOUT_MS = 60_000;
// How much of its log is kept.
const LOG_LENGTH = 64 << 10;

const CREATE_TOPICS = 19;
const TOPIC_ALREADY_EXISTS = 36;

class Milena {
  #child;
  #ready;
  #log = '';
  #ended;

  /** Starts a broker; clients are served when the promise is kept. */
  static async start(options = {}) {
    const milena = new Milena();
    await milena.#start(options);
    return milena;
  }

  /** `127.0.0.1:PORT`, for `bootstrap.servers` and `brokers` of clients. */
  get bootstrapServers() {
    return this.#ready.bootstrap;
  }

  get port() {
    return this.#ready.port;
  }

  get pid() {
    return this.#ready.pid;
  }

  get clusterId() {
    return this.#ready.cluster_id;
  }

  get dataDir() {
    return this.#ready.data_dirs[0];
  }

  /** The last lines that the broker has logged. */
  get log() {
    return this.#log;
  }

  /** Stops the broker; does nothing if it has ended. */
  async stop() {
    this.#child.ref();
    this.#child.kill('SIGTERM');
    await this.#ended;
  }

  /** `await using broker = await Milena.start()` */
  async [Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]() {
    await this.stop();
  }

  /** Makes a topic, or leaves it as it is if there is one of that name. */
  async createTopic(name, { partitions = 1, config = {} } = {}) {
    const settings = Object.entries(config);
    const topic = [text(name), int32(partitions), int16(-1), int32(0), int32(settings.length)];
    for (const [key, value] of settings) topic.push(text(key), text(String(value)));
    const body = Buffer.concat([int32(1), ...topic, int32(60_000), Buffer.of(0)]);
    const answer = await request(this.port, CREATE_TOPICS, 2, body);
    // Throttle time, one topic, its name, and what became of it.
    const at = 8 + 2 + answer.readInt16BE(8);
    const code = answer.readInt16BE(at);
    if (code !== 0 && code !== TOPIC_ALREADY_EXISTS) {
      const length = Math.max(answer.readInt16BE(at + 2), 0);
      const reason = answer.toString('utf8', at + 4, at + 4 + length);
      throw new Error(`topic ${name}: ${reason || `error ${code}`}`);
    }
  }

  async #start({ topics = [], config = {}, port = 0, dataDir, binary, startTimeoutMs = START_TIMEOUT_MS }) {
    // It would name several directories.
    if (dataDir?.includes(',')) throw new Error(`dataDir: ${dataDir} has a comma in it`);
    // A file without settings keeps that of this machine, /etc/milena/server.properties, from being read.
    const words = ['serve', '/dev/null', '--port', String(port), '--ready-fd', '3', `--exit-with-parent=${process.pid}`];
    words.push(...(dataDir === undefined ? ['--ephemeral'] : ['--override', `log.dirs=${dataDir}`]));
    for (const topic of topics) words.push('--topic', topic);
    for (const [key, value] of Object.entries(config)) words.push('--override', `${key}=${value}`);
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(KAFKA|MILENA)_/.test(name)));
    const child = spawn(binary ?? find(), words, { stdio: ['ignore', 'ignore', 'pipe', 'pipe'], env });
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once('close', resolve);
      child.once('error', resolve);
    });
    child.stderr.setEncoding('utf8').on('data', (piece) => {
      this.#log = (this.#log + piece).slice(-LOG_LENGTH);
    });
    let line = '';
    const pipe = child.stdio[3].setEncoding('utf8').on('data', (piece) => (line += piece));
    let late;
    const timeout = new Promise((resolve) => {
      late = setTimeout(resolve, startTimeoutMs, `the broker did not start within ${startTimeoutMs} ms`);
    });
    const failed = new Promise((resolve) => child.once('error', (error) => resolve(error.message)));
    const told = new Promise((resolve) => pipe.once('close', () => resolve(undefined)));
    const problem = await Promise.race([told, failed, timeout]);
    clearTimeout(late);
    if (problem !== undefined || !line.endsWith('\n')) {
      child.kill('SIGKILL');
      await this.#ended;
      throw new Error(problem ?? (this.#log.trim() || 'the broker said nothing'));
    }
    this.#ready = JSON.parse(line);
    // A program that forgets to stop it can end all the same, and the broker then ends, too.
    child.unref();
    child.stderr.unref();
  }
}

/** One request on a connection of its own; the answer behind its header. */
function request(port, key, version, body) {
  const frame = Buffer.concat([int16(key), int16(version), int32(1), text('milena'), body]);
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const socket = net.connect(port, '127.0.0.1', () => socket.write(Buffer.concat([int32(frame.length), frame])));
    socket.on('data', (piece) => {
      received = Buffer.concat([received, piece]);
      if (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) {
        socket.destroy();
        resolve(received.subarray(8));
      }
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the broker has closed the connection')));
  });
}

function int16(value) {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function text(value) {
  const bytes = Buffer.from(value);
  return Buffer.concat([int16(bytes.length), bytes]);
}

module.exports = { Milena };
