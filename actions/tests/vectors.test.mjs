// What this action has in common with the receiver and the other plugins: tests/vectors/*.json.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { test } from 'node:test'

import { readContext } from '../lib/context.mjs'
import { defaultName, described, keyOf } from '../lib/event.mjs'
import { askedPause, longestPause } from '../lib/http.mjs'
import { readInputs } from '../lib/inputs.mjs'
import { instanceOf } from '../lib/job.mjs'
import { isOfAHistory, previousOf, withPrevious } from '../lib/previous.mjs'
import { describeVersion, duration, markerKey, oneLine, paragraphs } from '../lib/text.mjs'

const FOLDER = new URL('../../tests/vectors/', import.meta.url)
const FUNCTIONS = {
  one_line: ({ text, limit }) => oneLine(text, limit),
  paragraphs: ({ text }) => paragraphs(text),
  marker_key: ({ text }) => markerKey(text),
  version: ({ tag, branch, commit }) => describeVersion(tag ? `refs/tags/${tag}` : branch && `refs/heads/${branch}`, commit),
  version_of_ref: ({ ref, commit }) => describeVersion(ref, commit),
  deployment_name: ({ status, repository, version, environment }) => defaultName({ version, environment }, { repository }, status),
  outcome: ({ status, seconds, actor }) => described(
    { type: 'deployment' }, { actor }, { startedAt: 1, endedAt: 1 + seconds * 1000, status }).description,
  duration: ({ seconds }) => duration(seconds * 1000),
  longest_pause: ({ failures }) => longestPause(failures) / 1000,
  asked_pause: ({ status, headers, now }) => {
    const lowerCase = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
    const pause = askedPause({ statusCode: status, headers: lowerCase }, now * 1000)
    return pause === undefined ? null : pause / 1000
  },
  previous: ({ own, listed, has_more: hasMore, is_named: isNamed }) => {
    const previous = isOfAHistory(own) ? previousOf(own, { records: Object.values(listed), hasMore }) : undefined
    const told = withPrevious(own, previous, isNamed)
    const added = Object.entries(told.metadata).filter(([name]) => !(name in own.metadata))
    return { name: told.name, line: told.description ?? '', ...Object.fromEntries(added) }
  },
  github_job_key: async ({ variables, type, environment }) => {
    const inputs = readInputs({ INPUT_TYPE: type, INPUT_ENVIRONMENT: environment }, 0)
    const given = { ...variables, 'INPUT_CHECK-RUN-ID': variables.JOB_CHECK_RUN_ID }
    return (await keyOf(inputs, readContext(given, {}), 'random')).key
  },
  github_job_instance: ({ variables, host }) => instanceOf(variables, host),
}

/** A long text is written as a list of pieces and how often each is there. */
function written(value) {
  if (Array.isArray(value)) return value.map(([piece, times]) => piece.repeat(times)).join('')
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, written(each)]))
}

for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.json'))) {
  const { vectors, not_implemented: notImplemented } = JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8'))
  const listed = notImplemented.filter(({ language }) => language === 'javascript')
  const covers = (name, called) => (each) => each.function === called && (!each.vectors || each.vectors.includes(name))
  for (const { name, function: called, given, expected, expected_start: start } of vectors) {
    if (listed.some(covers(name, called))) continue
    test(`${file}: ${called}: ${name}`, async () => {
      assert.ok(called in FUNCTIONS, `${called} is neither run here nor listed in not_implemented with a reason`)
      const result = await FUNCTIONS[called](written(given))
      if (start) assert.ok(result.startsWith(start) && result !== start, result)
      else assert.deepEqual(result, written(expected))
    })
  }
  test(`${file}: what is listed as not implemented is not`, () => {
    assert.deepEqual(listed.filter((each) => each.function in FUNCTIONS && !each.vectors), [])
  })
}
