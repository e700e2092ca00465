// Reads and checks the inputs. No I/O in here.

import { InputProblem } from './problems.mjs'
import { readTime } from './times.mjs'
import { readMetadata } from './metadata.mjs'

const TYPES = ['deployment', 'incident', 'config_change', 'scale', 'custom']
const POLICIES = ['warn', 'fail', 'ignore']
const OUTCOMES = ['success', 'failure', 'cancelled']
const SKIPPED = 'skipped'
const MOST_SECONDS = 600
const SID = /^[A-Za-z0-9_-]{1,100}$/u
const DEFAULT_API_URL = 'https://api.apitraffic.io/v1'

/** An input without surrounding white space. The runner passes `api-token` as `INPUT_API-TOKEN`. */
export const input = (env, name) => (env[`INPUT_${name.toUpperCase()}`] ?? '').trim()

/** The input on-error. Read separately, because it is needed to report that another input is wrong. */
export function policyOf(env) {
  const policy = input(env, 'on-error').toLowerCase() || 'warn'
  return POLICIES.includes(policy) ? policy : 'warn'
}

/** All inputs. Throws `InputProblem` for the first wrong one. Metadata that cannot be read adds to `warnings`. */
export function readInputs(env, now) {
  const text = (name) => input(env, name)
  oneOf('on-error', text('on-error').toLowerCase() || 'warn', POLICIES)
  const [metadata, warnings] = readMetadata(text('metadata'))
  const given = {
    apiToken: token('api-token', text('api-token')),
    accountSid: sid('account-sid', text('account-sid')),
    apiUrl: address('api-url', text('api-url') || DEFAULT_API_URL),
    receiverUrl: text('receiver-url') && address('receiver-url', text('receiver-url')),
    receiverSecret: text('receiver-secret'),
    type: oneOf('type', text('type') || 'deployment', TYPES),
    name: text('name'),
    description: text('description'),
    environment: text('environment'),
    version: text('version'),
    buckets: list('buckets', text('buckets')),
    environments: list('environments', text('environments')),
    metadata,
    startedAt: readTime('started-at', text('started-at'), now),
    endedAt: readTime('ended-at', text('ended-at'), now),
    eventSid: sid('event-sid', text('event-sid')),
    markerKey: text('marker-key'),
    ...readOutcome(text('job-status'), text('status-of-job')),
    closes: yesOrNo('close', text('close'), true),
    saysPrevious: yesOrNo('previous', text('previous'), true),
    isDryRun: yesOrNo('dry-run', text('dry-run'), false),
    seconds: seconds('timeout-seconds', text('timeout-seconds') || '20'),
    warnings,
  }
  if (given.startedAt && given.endedAt && given.endedAt < given.startedAt) {
    throw new InputProblem('ended-at', 'is before started-at.')
  }
  return given
}

/** The outcome that the user gives, and the status of the job. The outcome of a step may be `skipped`: nothing was
 * deployed. It is empty until the step has run. */
function readOutcome(given, ofJob) {
  const runnerStatus = oneOf('status-of-job', ofJob || 'success', OUTCOMES)
  const jobStatus = oneOf('job-status', given || runnerStatus, [...OUTCOMES, SKIPPED])
  return { jobStatus: jobStatus === SKIPPED ? 'cancelled' : jobStatus, isOutcomeGiven: Boolean(given), runnerStatus }
}

const quoted = (text) => JSON.stringify([...text].slice(0, 80).join(''))

function oneOf(name, text, words) {
  if (words.includes(text)) return text
  throw new InputProblem(name, `is ${quoted(text)}; it must be one of ${words.join(', ')}.`)
}

function yesOrNo(name, text, otherwise) {
  if (!text) return otherwise
  if (/^(true|false)$/iu.test(text)) return text.toLowerCase() === 'true'
  throw new InputProblem(name, `is ${quoted(text)}; it must be true or false.`)
}

function seconds(name, text) {
  const number = /^\d+(\.\d+)?$/u.test(text) ? Number(text) : 0
  if (number > 0 && number <= MOST_SECONDS) return number
  throw new InputProblem(name, `is ${quoted(text)}; it must be a number of seconds above 0 and at most ${MOST_SECONDS}.`)
}

function sid(name, text) {
  if (!text || SID.test(text)) return text
  throw new InputProblem(name, `is ${quoted(text)}; a SID has only letters, digits, - and _.`)
}

function token(name, text) {
  if (!/[^\x21-\x7e]/u.test(text)) return text
  throw new InputProblem(name, 'contains white space or other characters that no token has; check the secret.')
}

function address(name, text) {
  let url
  try {
    url = new URL(text)
  } catch {
    throw new InputProblem(name, 'is not a URL; write it with https:// at the beginning.')
  }
  if (!['https:', 'http:'].includes(url.protocol)) throw new InputProblem(name, 'is not a URL that begins with https:// or http://.')
  if (url.username || url.password) throw new InputProblem(name, 'contains a user name or password; remove them.')
  return `${url.origin}${url.pathname.replace(/\/+$/u, '')}`
}

function list(name, text) {
  const entries = text.split(/[,\n]/u).map((entry) => entry.trim()).filter(Boolean)
  if (entries.length <= 100) return entries
  throw new InputProblem(name, `has ${entries.length} entries; at most 100 are allowed.`)
}
