'use strict';
// Where the broker's binary is: what MILENA_BINARY names, or the one in the package for this platform.

function find() {
  if (process.env.MILENA_BINARY) return process.env.MILENA_BINARY;
  const name = `@milena/${process.platform}-${process.arch}`;
  try {
    return require.resolve(`${name}/bin/milena`);
  } catch {
    throw new Error(
      `the package ${name} is not installed: install without --omit=optional on a platform that milena has, ` +
        'or set MILENA_BINARY',
    );
  }
}

module.exports = { find };
