// Which event is a step's, and how it ended.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'

import { readContext } from '../lib/context.mjs'
import { readInputs } from '../lib/inputs.mjs'
import { JobRecord, instanceOf } from '../lib/job.mjs'
import { hasKey, webhooksEvent } from '../lib/joining.mjs'
import { nextOf, outcomeOf } from '../lib/outcome.mjs'
import { begin, next } from '../lib/step.mjs'

/** The variables of a job with an empty folder for its files. */
function inJob(context, env = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'apitraffic-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  return { GITHUB_RUN_ID: '42', GITHUB_RUN_ATTEMPT: '1', GITHUB_JOB: 'deploy', RUNNER_TEMP: folder, ...env }
}

const inputs = (given) => readInputs(
  Object.fromEntries(Object.entries(given).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value])), 0)
const started = (env, given, isDeployment = true, at = 0) => begin(inputs(given), readContext(env, {}), { isDeployment, at }, env)

test('the second step of a job that deploys to an environment has a key of its own', async (t) => {
  const env = inJob(t, { 'INPUT_CHECK-RUN-ID': '5' })
  const keys = []
  for (const environment of ['production', 'staging', 'Production', 'production']) {
    keys.push((await started(env, { environment })).key)
  }
  assert.deepEqual(keys.map(({ key }) => key), [
    'github:job:5:production', 'github:job:5:staging', 'github:job:5:production:2', 'github:job:5:production:3',
  ])
  assert.deepEqual(keys.map(({ joinsBy }) => joinsBy), ['job', 'job', null, null])
})

test('steps that are given the same key have the same event', async (t) => {
  const env = inJob(t)
  for (const _ of [1, 2]) assert.equal((await started(env, { 'marker-key': 'mine', environment: 'x' })).key.key, 'mine')
})

test('two jobs of a run have different keys if no id is known', async (t) => {
  const keys = await Promise.all([1, 2].map(async () => (await started(inJob(t), { environment: 'production' })).key))
  assert.notEqual(keys[0].key, keys[1].key)
  for (const { key, joinsBy } of keys) assert.deepEqual([/^github:run:42:1:production:job:[0-9a-f]{16}$/u.test(key), joinsBy], [true, 'run'])
})

test('a job on one runner, in another process or container, is another job', () => {
  const env = { GITHUB_RUN_ID: '42', RUNNER_TEMP: '/work/_temp', RUNNER_NAME: 'one' }
  const instances = [
    instanceOf(env, 'host'), instanceOf({ ...env, RUNNER_TRACKING_ID: 'github_1' }, 'host'),
    instanceOf({ ...env, RUNNER_NAME: 'two' }, 'host'), instanceOf(env, 'container'),
  ]
  assert.equal(new Set(instances).size, instances.length)
})

test('steps that begin at the same moment have different numbers', async (t) => {
  const env = inJob(t)
  const code = `
    const { parentPort, workerData } = require('node:worker_threads')
    import(workerData.url).then(({ JobRecord }) => {
      const record = new JobRecord(workerData.env)
      for (let n = 0; n < 25; n += 1) parentPort.postMessage(record.add((before) => ({ nth: before.length + 1 })))
    })`
  const url = new URL('../lib/job.mjs', import.meta.url).href
  const added = await Promise.all([1, 2, 3, 4].map(() => new Promise((resolve, reject) => {
    const found = []
    const worker = new Worker(code, { eval: true, workerData: { url, env } })
    worker.on('message', (each) => found.push(each)).on('error', reject).on('exit', () => resolve(found))
  })))
  const numbers = added.flat().map(({ number }) => number).sort((a, b) => a - b)
  assert.deepEqual(numbers, Array.from({ length: 100 }, (_, index) => index + 1))
  for (const { number, nth } of added.flat()) assert.equal(nth, number)
})

test('a record that cannot be written or read stops nothing', async (t) => {
  const env = inJob(t, { RUNNER_TEMP: join(inJob(t).RUNNER_TEMP, 'file') })
  writeFileSync(env.RUNNER_TEMP, '')
  const { key, place } = await started(env, { environment: 'production', 'status-of-job': 'failure' })
  assert.match(key.key, /:production:job:/u)
  assert.deepEqual(place, { jobStatus: 'failure' })
  assert.equal(next(place, env), undefined)
  const readable = inJob(t)
  const record = new JobRecord(readable)
  record.add(() => ({ nth: 1 }))
  writeFileSync(join(record.folder, '2'), '{')
  assert.deepEqual(record.steps(), [{ nth: 1, number: 1 }, { number: 2 }])
})

test('a deployment ends where the next one of the job begins', async (t) => {
  const env = inJob(t)
  const first = await started(env, { environment: 'staging' }, true, 1)
  await started(env, { type: 'custom', name: 'Cache cleared' }, false, 2)
  assert.equal(next(first.place, env), undefined)
  const second = await started(env, { environment: 'production', 'status-of-job': 'failure' }, true, 3)
  const { at, jobStatus } = next(first.place, env)
  assert.deepEqual([at, jobStatus], [3, 'failure'])
  assert.equal(next(second.place, env), undefined)
})

test('a step that deploys nothing of its own is not counted', async (t) => {
  const env = inJob(t)
  const first = await started(env, { environment: 'production', 'dry-run': 'true' })
  await started(env, { environment: 'production', 'event-sid': 'evt_1' })
  const { key, place } = await started(env, { environment: 'production' })
  assert.deepEqual([key.key, place.number], [first.key.key, 1])
  assert.equal(next(first.place, env), undefined)
})

test('a step that has the same key by the user\'s wish is no next deployment', () => {
  const steps = [
    { number: 1, isDeployment: true, isGiven: true, base: 'mine' },
    { number: 2, isDeployment: true, isGiven: true, base: 'mine' },
    { number: 3, isDeployment: true, isGiven: true, base: 'other' },
  ]
  assert.equal(nextOf(steps, steps[0]).number, 3)
})

for (const [what, said, outcome] of [
  ['as the job says', { jobStatusBefore: 'success', jobStatus: 'failure' }, 'failure'],
  ['well, if the next one began while the job was well', { jobStatusBefore: 'success', next: { jobStatus: 'success' }, jobStatus: 'failure' }, 'success'],
  ['badly, if the next one is a rollback', { jobStatusBefore: 'success', next: { jobStatus: 'failure' }, jobStatus: 'failure' }, 'failure'],
  ['unknown, if the job had failed before', { jobStatusBefore: 'failure', jobStatus: 'failure' }, 'unknown'],
  ['cancelled, if that came on top', { jobStatusBefore: 'failure', jobStatus: 'cancelled' }, 'cancelled'],
  ['as given', { given: 'success', jobStatusBefore: 'failure', next: { jobStatus: 'failure' }, jobStatus: 'failure' }, 'success'],
]) test(`how a deployment ended: ${what}`, () => assert.equal(outcomeOf(said), outcome))

const FACTS = { deployment_id: '7', check_run_id: 5, run_id: '42', run_attempt: 1, environment: 'Production' }
const EVENT = {
  startedAt: '2026-01-10T10:05:00.000Z',
  metadata: { check_run_id: '5', run_id: '42', run_attempt: '1', environment: 'production', marker_key: 'key' },
}
const stored = (facts = {}, fields = {}) => ({
  type: 'deployment', startedAt: '2026-01-10T10:00:00.000Z', ...fields,
  metadata: { marker_key: 'github:deployment:7', ...FACTS, status: 'in_progress', run_url: 'https://github.com/acme/shop/actions/runs/42', ...facts },
})
const chosen = (joinsBy, listed, host = '') => webhooksEvent(listed, EVENT, { joinsBy, host, key: 'key' })

for (const [what, listed, byJob, byRun] of [
  ['the deployment of this job', [stored()], 0, 0],
  ['one that is still open, in a point\'s metadata without a status', [stored({ status: undefined })], 0, 0],
  ['a neighbour of the same run', [stored({ check_run_id: 6 })], null, 0],
  ['this job\'s beside a neighbour', [stored({ check_run_id: 6 }), stored()], 1, null],
  ['another environment', [stored({ environment: 'staging' })], null, null],
  ['another attempt of the run', [stored({ check_run_id: 9, run_attempt: 2 })], null, null],
  ['another host', [stored({ run_url: 'https://ghes.example.test/acme/shop/actions/runs/42' })], null, null],
  ['one whose host is not known', [stored({ run_url: undefined })], 0, 0],
  ['an incident', [stored({}, { type: 'incident' })], null, null],
  ['another plugin\'s own event', [stored({ deployment_id: undefined, marker_key: 'github:job:5:production:2' })], null, null],
  ['an event with a key of the user', [stored({ deployment_id: undefined, marker_key: 'mine' })], null, null],
  ['one that another plugin has joined', [stored({ joined_by: 'github:run:42:1:production:job:0123456789abcdef' })], 0, null],
  ['one that this step has joined', [stored({ joined_by: 'key' })], 0, 0],
  ['one that the receiver has joined with a plugin\'s', [stored({ marker_key: 'github:run:42:1:production:job:0123456789abcdef' })], 0, null],
  ['one that had ended', [stored({}, { endedAt: '2026-01-10T10:04:59.000Z' })], null, null],
  ['one that ended later', [stored({}, { endedAt: '2026-01-10T10:06:00.000Z' })], 0, 0],
  ['a point', [stored({ status: 'success' })], null, null],
  ['an event without metadata\'s environment', [stored({ environment: undefined })], null, null],
]) {
  test(`the webhook's event: ${what}`, () => {
    assert.equal(chosen('job', listed), listed[byJob ?? -1])
    assert.equal(chosen('run', listed), listed[byRun ?? -1])
    assert.equal(chosen(null, listed), undefined)
  })
}

test('an event is found by the key of whoever created or joined it', () => {
  assert.ok(hasKey(stored({ marker_key: 'key' }), 'key'))
  assert.ok(hasKey(stored({ joined_by: 'key' }), 'key'))
  for (const listed of [stored(), {}, null, { metadata: null }]) assert.ok(!hasKey(listed, 'key'))
})
