#!/usr/bin/env node
'use strict';
// The `milena` command: the broker's binary with the same words, signals and exit code.

const { spawn } = require('node:child_process');
const { find } = require('../lib/binary.js');

const child = spawn(find(), process.argv.slice(2), { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => {
  console.error(`milena: ${error.message}`);
  process.exitCode = 1;
});
child.on('exit', (code, signal) => {
  process.exitCode = code ?? 128 + require('node:os').constants.signals[signal];
});
