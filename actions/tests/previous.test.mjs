// What a deployment says of what ran before it, from the request to the end. The rules are in tests/vectors/previous.json.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

const ACTIONS = new URL('..', import.meta.url).pathname
const DAY = 86_400_000
const deployed = (version, daysAgo, fields = {}) => ({
  sid: `evt_${version}`,
  type: 'deployment',
  startedAt: new Date(Date.now() - daysAgo * DAY).toISOString(),
  metadata: { repository: 'acme/shop', environment: 'production', status: 'success', version, workflow: 'deploy' },
  ...fields,
})
const V1_V2 = [deployed('v2.4.0', 1), deployed('v2.3.1', 3)]

/** An API that lists `records` and keeps one event. If it is asked for deploys, it answers by `status`, and not at all if that is 0. */
async function withApi({ records = V1_V2, status = 200 }, use) {
  const asked = []
  let event = {}
  const server = http.createServer((request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
      const isForDeploys = request.url.includes('type=deployment')
      asked.push(isForDeploys ? 'deploys' : request.method)
      if (isForDeploys && status === 0) return undefined
      if (request.url.includes('limit=')) return response.writeHead(isForDeploys ? status : 200).end(JSON.stringify({ records, hasMore: false }))
      if (request.method !== 'GET') event = { sid: 'evt_own', ...event, ...JSON.parse(Buffer.concat(chunks)) }
      return response.end(JSON.stringify(event))
    })
  })
  await new Promise((listening) => { server.listen(0, '127.0.0.1', listening) })
  try {
    await use(`http://127.0.0.1:${server.address().port}/v1`, { asked, event: () => event })
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

/** A step as the runner runs it: each script in a process of its own, with the state that the one before has saved. */
async function step(scripts, apiUrl, inputs = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'apitraffic-'))
  const env = { PATH: process.env.PATH, RUNNER_TEMP: folder, GITHUB_REPOSITORY: 'acme/shop', GITHUB_WORKFLOW: 'deploy', GITHUB_RUN_ID: '9' }
  const given = { 'api-url': apiUrl, 'account-sid': 'acc_1', 'api-token': 't', environment: 'production', version: 'v2.3.1', ...inputs }
  for (const [name, value] of Object.entries(given)) env[`INPUT_${name.toUpperCase()}`] = value
  for (const name of ['STATE', 'OUTPUT', 'STEP_SUMMARY']) {
    env[`GITHUB_${name}`] = join(folder, name)
    writeFileSync(env[`GITHUB_${name}`], '')
  }
  try {
    for (const script of scripts) {
      await promisify(execFile)(process.execPath, [ACTIONS + script], { env })
      const saved = readFileSync(env.GITHUB_STATE, 'utf8').matchAll(/^(\w+)<<(\S+)\n([^]*?)\n\2$/gmu)
      for (const [, name, , value] of saved) env[`STATE_${name}`] = value
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('a rollback says so from its beginning to its end', () => withApi({}, async (url, api) => {
  await step(['deployment/main.mjs', 'deployment/post.mjs'], url, { 'status-of-job': 'failure', 'job-status': 'failure', 'check-run-id': '5' })
  const { name, description, metadata, endedAt } = api.event()
  assert.equal(name, 'Failed rollback of acme/shop to v2.3.1 in production')
  assert.match(description, /^Failed after \d+ s\.\nRollback to v2\.3\.1 from v2\.4\.0, deployed 1 d earlier\.$/u)
  assert.deepEqual([metadata.previous_version, metadata.course, metadata.status], ['v2.4.0', 'rollback', 'failure'])
  assert.ok(endedAt)
  assert.deepEqual(api.asked.toSorted(), ['GET', 'PATCH', 'POST', 'deploys'])
}))

test('an event of one moment says it too', () => withApi({}, async (url, api) => {
  await step(['event/main.mjs'], url, { type: 'deployment', version: 'v2.5.0', 'job-status': 'success', 'marker-key': 'mine' })
  assert.equal(api.event().name, 'Deploy acme/shop v2.5.0 to production')
  assert.equal(api.event().description, 'Before: v2.4.0, deployed 1 d earlier.')
}))

test('an event that a webhook has created keeps its description, and has the line once', () => withApi({
  records: [deployed('v2.3.1', 0, {
    sid: 'evt_theirs',
    description: 'By a webhook.\nBefore: v2.2.0, deployed 1 h earlier.',
    metadata: { marker_key: 'mine', previous_deployed_at: '2026-01-10T10:00:00.000Z', course: 'redeploy' },
  }), ...V1_V2],
}, async (url, api) => {
  await step(['event/main.mjs'], url, { type: 'deployment', version: 'v2.5.0', 'marker-key': 'mine' })
  assert.equal(api.event().description, 'By a webhook.\nBefore: v2.4.0, deployed 1 d earlier.')
  assert.equal(api.event().metadata.course, undefined)
}))

for (const [what, answers, inputs, asked] of [
  ['the list is refused', { status: 403 }, {}, ['GET', 'POST', 'deploys']],
  ['the list fails, which is not tried again', { status: 503 }, {}, ['GET', 'POST', 'deploys']],
  ['the list does not come', { status: 0 }, { 'timeout-seconds': '2' }, ['GET', 'POST', 'deploys']],
  ['it is switched off', {}, { previous: 'false' }, ['GET', 'POST']],
  ['there is no environment', {}, { environment: '' }, ['POST']],
]) {
  test(`an event is sent as before if ${what}`, () => withApi(answers, async (url, api) => {
    await step(['event/main.mjs'], url, { type: 'deployment', version: 'v2.5.0', ...inputs })
    assert.match(api.event().name, /^Deploy acme\/shop v2\.5\.0/u)
    assert.equal(api.event().description, undefined)
    assert.deepEqual(api.asked.toSorted(), asked)
  }))
}
