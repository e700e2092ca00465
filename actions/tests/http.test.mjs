import assert from 'node:assert/strict'
import http from 'node:http'
import { test } from 'node:test'

import { EventsApi } from '../lib/events_api.mjs'
import { Requests } from '../lib/http.mjs'
import { Refused, Unreachable } from '../lib/problems.mjs'

const EVENT = { startedAt: '2026-01-10T10:00:00.000Z', metadata: { marker_key: 'k' } }

/** An API that answers each request by the next of these, the last one for ever. */
async function withApi(answers, use, seconds = 5) {
  const asked = []
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => {
      asked.push(`${request.method} ${new URL(request.url, 'http://x').searchParams.get('page') ?? ''}`.trim())
      const { status, headers = {}, body = '{}' } = answers[Math.min(asked.length, answers.length) - 1]
      if (status) response.writeHead(status, headers).end(body)
    })
  })
  await new Promise((listening) => { server.listen(0, '127.0.0.1', listening) })
  const apiUrl = `http://127.0.0.1:${server.address().port}/v1`
  try {
    await use(new EventsApi({ apiUrl, accountSid: 'acc_1', apiToken: 't' }, new Requests(seconds, () => {})), asked)
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

test('a Retry-After past the budget ends the tries at once', () => withApi(
  [{ status: 429, headers: { 'retry-after': '3600' } }],
  async (api, asked) => {
    await assert.rejects(api.create(EVENT), (error) => error instanceof Unreachable && /asks to wait 3600 s/u.test(error.message))
    assert.deepEqual(asked, ['POST'])
  },
))

test('no answer costs the budget and not more', () => withApi([{}], async (api) => {
  const began = Date.now()
  await assert.rejects(api.create(EVENT), /could not be reached: .*no answer in time \(tried once in 0\.\d s\)/u)
  assert.ok(Date.now() - began < 2000)
}, 0.3))

test('a redirect is no success, and the token goes nowhere else', () => withApi(
  [{ status: 302, headers: { location: 'http://127.0.0.1:9/' } }],
  (api) => assert.rejects(api.create(EVENT), Refused),
))

test('a page of a portal proves nothing: the event is looked for', () => withApi(
  [{ status: 200, body: '<html>' }, { status: 200, body: '{"hasMore": false, "records": [{"sid": "evt_3", "metadata": {"marker_key": "k"}}]}' }],
  async (api, asked) => {
    assert.equal((await api.create(EVENT)).sid, 'evt_3')
    assert.deepEqual(asked, ['POST', 'GET 1'])
  },
))

test('pages for ever are no success', () => withApi([{ status: 200, body: '<html>' }], (api) => assert.rejects(api.create(EVENT), Unreachable), 0.3))

test('a look-up ends at what is too old if the newest come first, and after 20 pages in any case', async () => {
  const page = (...starts) => ({ status: 200, body: JSON.stringify({ hasMore: true, records: starts.map((startedAt) => ({ startedAt })) }) })
  const old = ['2026-01-09T11:00:00Z', '2026-01-09T10:00:00Z']
  await withApi([page('2026-01-10T12:00:00Z', ...old)], async (api, asked) => {
    assert.equal(await api.find(EVENT), undefined)
    assert.equal(asked.length, 1)
  })
  await withApi([page(...[...old].reverse())], async (api, asked) => {
    assert.equal(await api.find(EVENT), undefined)
    assert.equal(asked.length, 20)
  })
})

test('an answer in an envelope is read too', () => withApi(
  [{ status: 201, body: '{"success": true, "data": {"sid": "evt_1"}}' }],
  async (api) => assert.equal((await api.create(EVENT)).sid, 'evt_1'),
))

test('all pages are looked through', () => withApi(
  [{ status: 200, body: '{"hasMore": true, "records": [null, {}]}' },
    { status: 200, body: '{"hasMore": false, "records": [{"sid": "evt_2", "metadata": {"marker_key": "k"}}]}' }],
  async (api, asked) => {
    assert.equal((await api.find(EVENT)).sid, 'evt_2')
    assert.deepEqual(asked, ['GET 1', 'GET 2'])
  },
))

test('after a create without an answer it is looked for, and not created twice', () => withApi(
  [{ status: 500 }, { status: 200, body: '{"hasMore": false, "records": [{"sid": "evt_3", "metadata": {"marker_key": "k"}}]}' }],
  async (api, asked) => {
    assert.equal((await api.create(EVENT)).sid, 'evt_3')
    assert.deepEqual(asked, ['POST', 'GET 1'])
  },
))

test('a token that may not list may still create', () => withApi(
  [{ status: 403 }, { status: 201, body: '{"sid": "evt_4"}' }],
  async (api) => {
    assert.equal(await api.find(EVENT), undefined)
    assert.equal((await api.create(EVENT)).sid, 'evt_4')
  },
))
