/* kafkajs against a broker: usage kafkajs.js HOST:PORT RECORDS

Produces with every codec that it has, idempotently, to a topic for each; two members of a classic group, which subscribe to a pattern, share
the topics, and one of them leaves; then a transaction copies records, with its offsets, for a reader of committed data; and an administrator
looks at what is left. Prints what it counted. */

const { CompressionCodecs, CompressionTypes, Kafka, logLevel, Partitioners } = require('kafkajs')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy }
const names = Object.keys(codecs)
const address = process.argv[2]
const total = Number(process.argv[3])
const share = total / names.length
const batch = 1000 // records that are sent at once; they come back so
const kafka = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING }) // a rebalance would be an error
const createPartitioner = Partitioners.DefaultPartitioner
const admin = kafka.admin()

// until waits for what is to be, for two minutes.
async function until(what, condition) {
  for (const deadline = Date.now() + 120_000; !condition();) {
    if (Date.now() > deadline) throw new Error('it does not come about: ' + what)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function produce() {
  await admin.createTopics({ topics: [...names.map((name) => ({ topic: 'from-' + name, numPartitions: 2 })), { topic: 'to' }, { topic: 'gone' }] })
  const p = kafka.producer({ createPartitioner, idempotent: true, maxInFlightRequests: 1 })
  await p.connect()
  let n = 0
  for (const [name, compression] of Object.entries(codecs)) {
    for (let left = share; left > 0; left -= batch) {
      const messages = Array.from({ length: Math.min(left, batch) }, () => ({ key: String(n), value: 'value ' + n++ }))
      await p.send({ topic: 'from-' + name, acks: -1, compression, messages })
    }
  }
  await p.disconnect()
}

// join starts a member of the group that the two share.
async function join(seen) {
  const c = kafka.consumer({ groupId: 'shared', heartbeatInterval: 100, sessionTimeout: 10_000, rebalanceTimeout: 10_000 })
  const member = { count: 0, leave: () => c.disconnect() }
  await c.connect()
  await c.subscribe({ topics: [/^from-.*/], fromBeginning: true })
  await c.run({
    eachMessage: async ({ message }) => {
      const value = message.value.toString()
      seen.set(value, (seen.get(value) ?? 0) + 1)
      member.count++
    },
  })
  return member
}

async function consume() {
  const seen = new Map()
  const one = await join(seen)
  await until('the first member reads', () => one.count > 0)
  const two = await join(seen)
  await until('both read', () => two.count > 0 || seen.size === total)
  await one.leave()
  await until('all is read', () => seen.size === total)
  await two.leave()
  let twice = 0
  for (const n of seen.values()) if (n > 1) twice++
  // What a member has not committed when its partitions leave it is read again.
  console.log('consumed', seen.size, 'many twice', twice > total / 5, 'both', one.count > 0 && two.count > 0)
}

async function copy() {
  const p = kafka.producer({ createPartitioner, transactionalId: 'copier', idempotent: true, maxInFlightRequests: 1 })
  const c = kafka.consumer({ groupId: 'copiers', heartbeatInterval: 100 })
  await Promise.all([p.connect(), c.connect()])
  await c.subscribe({ topics: ['from-none'], fromBeginning: true })
  let copied = 0
  await c.run({
    autoCommit: false,
    eachBatch: async ({ batch: { topic, partition, messages }, resolveOffset }) => {
      const t = await p.transaction()
      await t.send({ topic: 'to', messages: messages.map(({ key, value }) => ({ key, value })) })
      const offset = String(BigInt(messages.at(-1).offset) + 1n)
      await t.sendOffsets({ consumerGroupId: 'copiers', topics: [{ topic, partitions: [{ partition, offset }] }] })
      await t.commit()
      resolveOffset(messages.at(-1).offset)
      copied += messages.length
    },
  })
  await until('all is copied', () => copied >= share)
  await c.disconnect()
  for (const value of ['aborted', 'end']) {
    const t = await p.transaction()
    await t.send({ topic: 'to', messages: [{ value }] })
    await (value === 'end' ? t.commit() : t.abort())
  }
  await p.disconnect()

  const r = kafka.consumer({ groupId: 'readers', heartbeatInterval: 100 }) // of committed data, unless it is told otherwise
  const read = []
  await r.connect()
  await r.subscribe({ topics: ['to'], fromBeginning: true })
  await r.run({ eachMessage: async ({ message }) => void read.push(message.value.toString()) })
  await until('the end is read', () => read.at(-1) === 'end')
  await r.disconnect()
  console.log('copied', copied, 'read', read.length - 1, 'aborted', read.filter((value) => value === 'aborted').length)
}

async function administer() {
  const offsets = await admin.fetchOffsets({ groupId: 'copiers', topics: ['from-none'] })
  const committed = offsets[0].partitions.reduce((sum, { offset }) => sum + Number(offset), 0)
  const { groups } = await admin.listGroups()
  await admin.fetchTopicOffsets('to') // what follows knows the leaders only so
  await admin.deleteTopicRecords({ topic: 'to', partitions: [{ partition: 0, offset: '10' }] })
  const [{ low }] = await admin.fetchTopicOffsets('to')
  await admin.deleteGroups(['readers'])
  await admin.deleteTopics({ topics: ['gone'] })
  const left = await admin.listTopics()
  console.log('committed', committed, 'groups', groups.map(({ groupId }) => groupId).sort().join(), 'low', low, 'left', left.sort().join())
}

async function main() {
  await admin.connect()
  await produce()
  await consume()
  await copy()
  await administer()
  await admin.disconnect()
}

main().catch((err) => {
  console.error(err)
  process.exit(1)
})
