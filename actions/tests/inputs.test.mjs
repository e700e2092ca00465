import assert from 'node:assert/strict'
import { test } from 'node:test'

import { readInputs } from '../lib/inputs.mjs'
import { readMetadata } from '../lib/metadata.mjs'
import { readTime } from '../lib/times.mjs'

const NOW = Date.UTC(2026, 10, 20, 10)
const inputs = (given) => readInputs(
  Object.fromEntries(Object.entries(given).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value])), NOW)

for (const [written, read] of [
  ['2026-11-20T10:00:00Z', '2026-11-20T10:00:00.000Z'],
  ['2026-11-20T12:00:00.1234+0200', '2026-11-20T10:00:00.123Z'],
  ['2026-11-20 10:00', '2026-11-20T10:00:00.000Z'],
  ['2026-11-20 10:00:00 UTC', '2026-11-20T10:00:00.000Z'],
  ['2026-11-20', '2026-11-20T00:00:00.000Z'],
  ['1795168800', new Date(1795168800000).toISOString()],
  ['1795168800000', new Date(1795168800000).toISOString()],
  ['now', new Date(NOW).toISOString()],
]) test(`the time ${written}`, () => assert.equal(new Date(readTime('started-at', written, NOW)).toISOString(), read))

for (const wrong of ['tomorrow', '2026-02-31', '2026-13-01T00:00:00Z', '20', '2026-11-20T25:00:00Z']) {
  test(`${wrong} is no time`, () => assert.throws(() => readTime('started-at', wrong, NOW), /the input started-at is ".*not a time/u))
}

for (const [name, value] of Object.entries({
  type: 'deploiement', 'on-error': 'explode', 'dry-run': 'maybe', close: '1', 'timeout-seconds': '0', 'api-url': 'ftp://x',
  'receiver-url': 'https://user:secret@host', 'account-sid': '../x', 'event-sid': 'a b', 'api-token': 'two words',
  'job-status': 'neutral', 'status-of-job': 'skipped', 'started-at': 'x', buckets: 'a,'.repeat(101),
})) {
  test(`a wrong ${name} is named, without any secret in the message`, () => {
    assert.throws(() => inputs({ [name]: value }), (error) => {
      assert.match(error.message, new RegExp(`^ApiTraffic: the input ${name} `, 'u'))
      return !/secret@|two words/u.test(error.message)
    })
  })
}

test('an end before the start', () => {
  assert.throws(() => inputs({ 'started-at': '2026-01-02', 'ended-at': '2026-01-01' }), /the input ended-at is before/u)
})

test('the outcome that is given and the status of the job', () => {
  const outcome = (given, ofJob) => {
    const { jobStatus, isOutcomeGiven, runnerStatus } = inputs({ 'job-status': given, 'status-of-job': ofJob })
    return [jobStatus, isOutcomeGiven, runnerStatus]
  }
  assert.deepEqual(outcome('failure', 'success'), ['failure', true, 'success'])
  assert.deepEqual(outcome('', 'failure'), ['failure', false, 'failure'])
  assert.deepEqual(outcome('', ''), ['success', false, 'success'])
  assert.deepEqual(outcome('skipped', 'failure'), ['cancelled', true, 'failure'])
})

test('what is left empty has its default', () => {
  const { type, seconds, closes, isDryRun, buckets, apiUrl } = inputs({})
  assert.deepEqual([type, seconds, closes, isDryRun, buckets], ['deployment', 20, true, false, []])
  assert.equal(apiUrl, 'https://api.apitraffic.io/v1')
})

test('metadata as lines', () => {
  assert.deepEqual(readMetadata('team: checkout\n\nurl: https://x/y\r\nempty:\n'), [{ team: 'checkout', url: 'https://x/y' }, []])
})

test('a line that is no metadata is left out with a warning', () => {
  const [metadata, [warning]] = readMetadata('team: a\nnothing')
  assert.deepEqual(metadata, { team: 'a' })
  assert.match(warning, /metadata has a line .*"nothing\\?"/u)
})

test('metadata as JSON, and never a prototype', () => {
  const [metadata] = readMetadata('{"__proto__": {"x": 1}, "n": 3, "b": false, "none": null}')
  assert.deepEqual(Object.keys(metadata), ['__proto__', 'n', 'b'])
  assert.equal({}.x, undefined)
})

for (const wrong of ['{"a": ', '[1]', JSON.stringify({ a: 'x'.repeat(999), ...Object.fromEntries([...Array(100)].map((_, i) => [i, 1])) })]) {
  test(`metadata that cannot be sent: ${wrong.slice(0, 20)}`, () => {
    const [metadata, warnings] = readMetadata(wrong)
    assert.deepEqual(metadata, {})
    assert.equal(warnings.length, 1)
  })
}
