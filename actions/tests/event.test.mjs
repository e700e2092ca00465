import assert from 'node:assert/strict'
import { test } from 'node:test'

import { readContext } from '../lib/context.mjs'
import { defaultName, keyOf, wholeEvent } from '../lib/event.mjs'
import { readInputs } from '../lib/inputs.mjs'
import { signed } from '../lib/receiver.mjs'
import { wayFor } from '../lib/sending.mjs'
import { summaryOf } from '../lib/summary.mjs'

const ENV = {
  GITHUB_REPOSITORY: 'acme/shop', GITHUB_SERVER_URL: 'https://github.com', GITHUB_REF: 'refs/heads/main',
  GITHUB_SHA: '0123abcdef', GITHUB_ACTOR: 'alice', GITHUB_RUN_ID: '42', GITHUB_RUN_ATTEMPT: '2',
}
const context = (payload = {}, env = {}) => readContext({ ...ENV, ...env }, payload)
const inputs = (given = {}) => readInputs(
  Object.fromEntries(Object.entries(given).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value])), 0)

test('a deployment is named by what is known', () => {
  assert.equal(defaultName(inputs({ environment: 'production' }), context()), 'Deploy acme/shop main@0123abc to production')
  assert.equal(defaultName(inputs({ version: 'v2' }), context(), 'failure'), 'Failed deploy acme/shop v2')
  assert.equal(defaultName(inputs(), context({}, { GITHUB_REF: 'refs/tags/v3' }), 'cancelled'), 'Cancelled deploy acme/shop v3')
})

test('the user\'s own name is never changed', () => {
  const event = wholeEvent(inputs({ name: 'Ship it' }), context(), { key: 'k', startedAt: 0, endedAt: 1, status: 'failure' })
  assert.equal(event.name, 'Ship it')
})

test('the end of a deployment says its outcome, the user\'s words below', () => {
  const event = wholeEvent(inputs({ description: 'Blue.' }), context(), { key: 'k', startedAt: 0, endedAt: 123_000, status: 'success' })
  assert.equal(event.description, 'Succeeded after 2 min 3 s by alice.\nBlue.')
  assert.equal(event.metadata.status, 'success')
})

test('other types need a name and have no status', () => {
  assert.throws(() => wholeEvent(inputs({ type: 'scale' }), context(), { key: 'k', startedAt: 0 }), /the input name is empty/u)
  const event = wholeEvent(inputs({ type: 'scale', name: 'x' }), context(), { key: 'k', startedAt: 0, status: 'success' })
  assert.equal(event.metadata.status, undefined)
})

test('metadata: the user\'s own wins, but not over the marker key', () => {
  const own = inputs({ metadata: 'actor: bob\nmarker_key: mine' })
  const { metadata } = wholeEvent(own, context(), { key: 'k', startedAt: 0 })
  assert.deepEqual([metadata.actor, metadata.marker_key], ['bob', 'k'])
})

test('the marker key is the receiver\'s for a known environment, else one of its own', async () => {
  const key = async (given) => (await keyOf(inputs(given), context(), 'random')).key
  assert.equal(await key({ environment: 'production' }), 'github:run:42:2:production')
  assert.equal(await key({}), 'github:run:42:2:event:random')
  assert.equal(await key({ type: 'custom', environment: 'production' }), 'github:run:42:2:event:random')
  assert.equal(await key({ 'marker-key': 'mine' }), 'mine')
})

test('a pull request is its own head, not the merge made for testing', () => {
  const head = { sha: 'feedbeef00', ref: 'fix', repo: { full_name: 'bob/shop' } }
  const facts = context({ pull_request: { number: 7, head } }, { GITHUB_REF: 'refs/pull/7/merge' })
  assert.deepEqual([facts.ref, facts.commit, facts.pull_request, facts.isFork], ['refs/heads/fix', 'feedbeef00', 7, true])
})

test('a re-run is another run page and known by who set it off', () => {
  const facts = context({}, { GITHUB_TRIGGERING_ACTOR: 'bob' })
  assert.equal(facts.run_url, 'https://github.com/acme/shop/actions/runs/42/attempts/2')
  assert.equal(facts.actor, 'bob')
})

for (const [name, given, fork, pattern] of [
  ['no token', { 'account-sid': 'acc_1' }, false, /ApiTraffic is not configured: the input api-token is empty\. .*secrets: inherit/u],
  ['nothing', {}, false, /the inputs api-token and account-sid are empty/u],
  ['no receiver secret', { 'receiver-url': 'https://r' }, false, /the input receiver-secret is empty/u],
  ['a fork', {}, true, /fork, and forks get no secrets/u],
]) test(`not configured: ${name}`, () => assert.throws(() => wayFor(inputs(given), { isFork: fork }, () => {}), pattern))

// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, its libraries' test
test('signed as Standard Webhooks has it', () => {
  const headers = signed('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'msg_p5jXN8AQM9LWM0D4loKWxJek', '{"test": 2432232314}', 1_614_265_330_000)
  assert.equal(headers['webhook-signature'], 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
})

test('the summary shows names as text', () => {
  const summary = summaryOf({ status: 'created', sid: 'evt_1', key: 'k', event: { name: '<img src=x>|\n`@you`', metadata: { url: 'javascript:x' } } })
  assert.doesNotMatch(summary, /<img|javascript|\|| @you|`/u)
  assert.match(summary, /evt_1/u)
})
