// clients.js LIBRARY SCENARIO BOOTSTRAP TAG: the scenarios of every library for Node.js, which is a file of its name.
const { setTimeout: sleep } = require('node:timers/promises')

const BASE_MS = 1_700_000_000_000
const [name, scenario, bootstrap, tag] = process.argv.slice(2)
const library = require(`./${name}.js`)(bootstrap, scenario === 'next')

const values = (from, to) =>
  [...Array(to - from).keys()].map((n) => ({ partition: 0, key: `k${(from + n) % 10}`, value: `value ${from + n}`, timeMs: BASE_MS + (from + n) * 1000 }))
const texts = (records) => records.map((r) => r.value)
const count = (n) => (seen) => seen.length >= n

function expect(seen, wanted, what) {
  const [a, b] = [JSON.stringify(seen), JSON.stringify(wanted)]
  if (a !== b) throw new Error(`${what}: ${a.slice(0, 300)} instead of ${b.slice(0, 300)}`)
}

async function codecs() {
  for (const codec of library.codecs) {
    for (const acks of [0, 1, -1]) {
      const topic = `${tag}-${codec}-${acks + 1}`
      await library.create(topic, 1, {})
      await library.send(topic, codec, acks, values(0, 100))
      expect(texts(await library.read(topic, 0, count(100))), texts(values(0, 100)), topic)
    }
  }
}

async function seek() {
  await library.create(tag, 1, {})
  await library.send(tag, 'none', -1, values(0, 50))
  const offset = await library.offsetAt(tag, BASE_MS + 20_500)
  expect(offset, 21, 'by time')
  expect((await library.read(tag, offset, count(1)))[0].value, 'value 21', 'after the seek')
}

// Reads until of every key only the newest record is left.
async function compacted() {
  await library.create(tag, 1, { 'cleanup.policy': 'compact', 'segment.ms': '1', 'min.cleanable.dirty.ratio': '0' })
  for (let round = 0; round < 5; round++) {
    const records = values(round * 10, round * 10 + 10)
    await library.send(tag, 'gzip', -1, records.map((r) => ({ ...r, timeMs: Date.now() + round * 1000 })))
  }
  await library.send(tag, 'none', -1, [{ partition: 0, key: 'last', value: 'last', timeMs: Date.now() + 10_000 }])
  const wanted = JSON.stringify([...texts(values(40, 50)), 'last'])
  while (JSON.stringify(texts(await library.read(tag, 0, (seen) => seen.at(-1)?.value === 'last'))) !== wanted) await sleep(100)
}

async function transaction() {
  await library.create(tag, 1, {})
  await library.transact(tag, tag, ['committed', 'aborted', 'committed too'])
  expect(texts(await library.read(tag, 0, count(2), true)), ['committed', 'committed too'], 'read_committed')
  expect(texts(await library.read(tag, 0, count(3))), ['committed', 'aborted', 'committed too'], 'read_uncommitted')
}

// Sends one record to each partition again and again, until all of a round were seen by so many members.
async function rounds(group, partitions, busy) {
  for (;;) {
    const n = group.sent++
    group.round.clear()
    const sent = [...Array(partitions).keys()].map((partition) => ({ partition, key: 'k', value: `round ${n}, ${partition}`, timeMs: Date.now() }))
    await library.send(group.topic, 'none', -1, sent)
    while (!sent.every((r) => group.seen.has(r.value))) await sleep(10)
    if (group.round.size === busy) return
    await sleep(100)
  }
}

function member(group, number) {
  return library.join(group.topic, group.topic, (record) => {
    group.seen.add(record.value)
    group.round.add(number)
  })
}

// One member, and one that comes later and goes on where it was.
async function group(topic) {
  const partitions = 4
  const all = { topic, seen: new Set(), round: new Set(), sent: 0 }
  await library.create(topic, partitions, {})
  for (const number of [1, 2]) {
    all.seen.clear()
    const leave = await member(all, number)
    for (let round = 0; round < 4; round++) await rounds(all, partitions, 1)
    await leave()
    if (number === 2 && all.seen.size > partitions * 5) throw new Error(`who came later saw ${all.seen.size} records, some of them again`)
  }
}

// One member, two, and one.
async function rebalance(topic) {
  const partitions = 4
  const all = { topic, seen: new Set(), round: new Set(), sent: 0 }
  await library.create(topic, partitions, {})
  const first = await member(all, 1)
  await rounds(all, partitions, 1)
  const second = await member(all, 2)
  await rounds(all, partitions, 2)
  await first()
  await rounds(all, partitions, 1)
  await second()
}

// Both with the group protocol of KIP-848.
async function next(topic) {
  await group(topic)
  await rebalance(`${topic}-rebalance`)
}

async function admin() {
  await library.create(tag, 2, { 'retention.ms': '1000000' })
  await library.send(tag, 'none', -1, values(0, 20))
  await library.administer(tag, expect)
}

// Sends and reads for some seconds, while somebody kills the broker once: what was acknowledged is read.
async function restart() {
  const all = { topic: tag, seen: new Set(), round: new Set(), sent: 0 }
  await library.create(tag, 1, {})
  const leave = await member(all, 1)
  const records = values(0, 300)
  for (const record of records) {
    // A library that gives up is asked again, as an application would.
    while (!(await library.send(tag, 'none', -1, [record]).then(() => true, () => sleep(100, false))));
    await sleep(15)
  }
  while (all.seen.size !== records.length) await sleep(10)
  await leave()
}

const scenarios = { codecs, group, rebalance, next, seek, compacted, transaction, admin, restart }
scenarios[scenario](tag).then(
  () => process.exit(0),
  (error) => {
    console.error(error)
    process.exit(1)
  })
