// What ran before a deploy, by the deploys that the API lists (docs/ci-plugins.md, "What ran before"). No I/O in here.
// The rules are those of receiver/insight; tests/vectors/previous.json has them as examples.

import { compareUrl } from './compare.mjs'
import { tidied } from './metadata.mjs'
import { DESCRIPTION_LIMIT, NAME_LIMIT, VERSION, describeVersion, duration, oneLine, paragraphs } from './text.mjs'
import { format, parse } from './times.mjs'

const FACT_LIMIT = 200
const SHORT = 7
const ROLLBACK = 'Rollback to '
const GOES_BACK = /roll.?back|revert|restore|undo|promote|redeploy/iu
const SUCCEEDED = ['success', 'succeeded', 'successful', 'passed', 'unstable', 'warnings', 'rolled_back']
const OTHER_OUTCOMES = [
  'in_progress', 'running', 'started', 'pending', 'paused', 'failure', 'failed', 'error', 'partial', 'expired',
  'cancelled', 'canceled', 'aborted', 'rejected', 'not_built', 'merged',
]
const FACTS = ['previous_version', 'previous_commit', 'previous_deployed_at', 'compare_url', 'course']
const LINE = /^(?:Before: .+, deployed|Rollback to .+ from .+, deployed|Again: .+ was deployed here) .+ earlier\.(?: https?:\/\/\S+)?$/u
const VERBS = {
  'Deploy ': 'Roll back ',
  'Failed deploy ': 'Failed rollback of ',
  'Cancelled deploy ': 'Cancelled rollback of ',
}

/** Whether something can have run before: whether the event says what it deploys, and where. */
export function isOfAHistory(event) {
  const own = recordOf(event)
  return Boolean(own?.history && own.environment)
}

/** What ran before, `{version, commit, at, compareUrl, course, versionNow}`; undefined if that is not certain. `foundSid` names
 * the event of the same deploy that a webhook has created. */
export function previousOf(event, { records, hasMore }, foundSid) {
  const own = { ...recordOf(event), key: event.metadata.marker_key }
  const listed = records.filter((each) => each?.metadata && typeof each.metadata === 'object')
  if (hasMore && !isNewestFirst(records)) return undefined
  const others = listed
    .filter((each) => !isOwn(each, event.metadata, foundSid))
    .map((each) => ({ ...recordOf(each), isBeside: isBeside(each.metadata, event.metadata) }))
    .filter(({ history }) => history === own.history)
  if (others.some(({ isBeside, hasSucceeded }) => isBeside && hasSucceeded)) return undefined
  const earlier = ofSameTarget(own, others).filter((each) => each.hasSucceeded && order(each, own) < 0).sort(order)
  const last = earlier.at(-1)
  if (!last) return undefined
  const before = earlier.filter((each) => isSameVersion(each, own))
  const firstOfLast = earlier.find((each) => each === last || isSameVersion(each, last))
  const isBack = before.length > 0 && order(before[0], firstOfLast) < 0
  return {
    version: last.version,
    commit: last.commit,
    at: last.at,
    compareUrl: compareUrl(event, last.commit, own.commit),
    course: isSameVersion(last, own) ? 'redeploy' : isBack ? 'rollback' : undefined,
    versionNow: before.at(-1)?.version,
  }
}

/** The event with a line and metadata about what ran before. A name that the user gave stays (`keepsName`). */
export function withPrevious(event, previous, keepsName) {
  if (!previous) return event
  const line = lineOf(event, previous)
  const room = DESCRIPTION_LIMIT - [...line].length - 1
  const above = [...paragraphs(event.description ?? '')]
  const kept = above.length > room ? `${above.slice(0, room - 1).join('').trimEnd()}…` : above.join('')
  return {
    ...event,
    name: previous.course === 'rollback' && !keepsName ? rolledBack(event, previous) : event.name,
    description: [kept, line].filter(Boolean).join('\n'),
    metadata: withFacts(event.metadata, previous),
  }
}

/** What an event says that ran before; undefined if it does not say so. */
export function previousIn({ description, metadata = {} }) {
  const at = parse(metadata.previous_deployed_at)
  if (at === null) return undefined
  const { previous_version: version, previous_commit: commit = '', compare_url: link, course } = metadata
  const end = ` from ${version || commit.slice(0, SHORT)}, deployed `
  const line = (description ?? '').split('\n').find((each) => each.startsWith(ROLLBACK) && each.includes(end))
  return { version, commit, at, compareUrl: link, course, versionNow: line?.slice(ROLLBACK.length, line.indexOf(end)) }
}

/** The event without what was said of an earlier deploy, if that was in our words. */
export function withoutPrevious({ description, metadata }) {
  if (!metadata.previous_deployed_at) return { description, metadata }
  const lines = (description ?? '').split('\n').filter((line) => !LINE.test(line))
  const facts = Object.entries(metadata).filter(([name]) => !FACTS.includes(name))
  return { description: lines.join('\n') || undefined, metadata: Object.fromEntries(facts) }
}

function recordOf({ sid, type, startedAt, endedAt, metadata }) {
  const text = (name) => (['string', 'number'].includes(typeof metadata[name]) ? oneLine(String(metadata[name]), FACT_LIMIT) : '')
  const start = parse(startedAt)
  const release = text('release')
  const commit = text('commit')
  const version = release || text('version') || describeVersion(text('ref'), commit)
  const status = text('status').toLowerCase()
  const subject = text('service') || text('repository') || text('job')
  const environment = text('environment').toLowerCase()
  const isKnown = [...SUCCEEDED, ...OTHER_OUTCOMES].includes(status) && start !== null && type === 'deployment'
  const track = text('workflow') || text('job')
  return {
    key: sid,
    at: parse(endedAt) ?? start,
    start,
    environment,
    history: isKnown && subject && (version || commit) ? `${subject.toLowerCase()} ${environment}` : undefined,
    hasSucceeded: SUCCEEDED.includes(status),
    version,
    isExact: Boolean(release) || VERSION.test(version),
    commit: commit.toLowerCase(),
    track,
    job: text('job'),
    runId: text('run_id'),
    goesBack: [track, text('job'), text('task')].some((name) => GOES_BACK.test(name)),
  }
}

/** The order in which deploys took effect. */
function order(one, other) {
  if (one.at !== other.at) return one.at - other.at
  if (one.start !== other.start) return one.start - other.start
  return one.key < other.key ? -1 : Number(one.key > other.key)
}

function isSameVersion(one, other) {
  if (!one.commit || !other.commit) return Boolean(one.version) && one.version === other.version && one.isExact && other.isExact
  const length = Math.min(one.commit.length, other.commit.length)
  return length >= SHORT && one.commit.slice(0, length) === other.commit.slice(0, length)
}

/** Those that replaced what this one replaces: by the same workflow, or by one that goes back for it. */
function ofSameTarget(own, others) {
  const deploying = others.filter(({ goesBack }) => !goesBack)
  const tracks = new Set([...deploying, ...(own.goesBack ? [] : [own])].map(({ track }) => track))
  if (tracks.size <= 1) return ofSameJob(own, others)
  const candidates = new Set(own.goesBack
    ? deploying.filter((each) => isSameVersion(each, own)).map(({ track }) => track)
    : [own.track])
  if (candidates.size !== 1) return []
  const deployed = deploying.filter(({ track }) => candidates.has(track))
  const back = others.filter((each) => each.goesBack && [own, ...deployed].some((one) => isSameVersion(each, one)))
  return ofSameJob(own, [...deployed, ...back])
}

/** Without what other jobs of the same runs deploy side by side with this one. */
function ofSameJob(own, others) {
  const runs = new Map()
  for (const { runId, job } of [own, ...others].filter((each) => each.runId && !each.goesBack)) {
    runs.set(runId, new Set([...(runs.get(runId) ?? []), job]))
  }
  const jobsOfRuns = [...runs.values()]
  if (own.goesBack && jobsOfRuns.some(({ size }) => size > 1)) return []
  const beside = new Set(jobsOfRuns.filter((jobs) => jobs.has(own.job)).flatMap((jobs) => [...jobs]))
  beside.delete(own.job)
  const isUnclear = ({ runId }) => own.runId && own.runId === runId && !own.job
  return others.filter((each) => !beside.has(each.job) && !isUnclear(each))
}

/** Whether no further page can have later deploys. */
const isNewestFirst = (records) => ['startedAt', 'createdAt'].some((name) => {
  const moments = records.map((each) => parse(each?.[name]))
  return moments.every((moment, index) => moment !== null && (index === 0 || moment <= moments[index - 1]))
})

const isOwn = ({ sid, metadata }, own, foundSid) => sid === foundSid
  || [metadata.marker_key, metadata.joined_by].includes(own.marker_key)
  || (own.job_id !== undefined && String(metadata.job_id) === String(own.job_id))

/** Whether one run made both, and no id of a job tells them apart. */
const isBeside = (listed, own) => Boolean(own.run_url) && runOf(listed) === runOf(own) && listed.job_id === undefined
const runOf = ({ run_url: url = '', run_attempt: attempt = '' }) => `${String(url).replace(/\/+$/u, '')} ${attempt}`

function lineOf(event, previous) {
  const version = previous.version || previous.commit.slice(0, SHORT)
  const earlier = `${duration(parse(event.endedAt ?? event.startedAt) - previous.at)} earlier.`
  if (previous.course === 'redeploy') return `Again: ${version} was deployed here ${earlier}`
  const told = previous.course === 'rollback' ? `${ROLLBACK}${versionNow(event, previous)} from ${version}` : `Before: ${version}`
  return `${told}, deployed ${earlier}${previous.compareUrl ? ` ${previous.compareUrl}` : ''}`
}

const versionNow = ({ metadata: { short_commit: short, commit } }, previous) => previous.versionNow
  || String(short ?? commit ?? '').slice(0, SHORT) || 'an earlier version'

function withFacts(metadata, previous) {
  try {
    return tidied({
      ...metadata,
      previous_version: previous.version,
      previous_commit: previous.commit,
      previous_deployed_at: format(previous.at),
      compare_url: previous.compareUrl,
      course: previous.course,
    })
  } catch {
    return metadata // What the user says goes first.
  }
}

/** `Roll back acme/shop to v1 in production`, if the name is one that deploys get. */
function rolledBack({ name, metadata }, previous) {
  const verb = Object.keys(VERBS).find((each) => name.startsWith(each))
  const { environment } = metadata
  const place = environment ? ` to ${environment}` : ''
  const rest = verb ? name.slice(verb.length) : ''
  const subject = [metadata.service, metadata.repository, metadata.job].find(
    (each) => typeof each === 'string' && rest.startsWith(`${each} `) && rest.endsWith(place))
  const version = subject && (rest.slice(subject.length + 1, rest.length - place.length) || versionNow({ metadata }, previous))
  if (!version || version.includes(' ')) return name
  return oneLine(`${VERBS[verb]}${subject} to ${previous.versionNow || version}${environment ? ` in ${environment}` : ''}`, NAME_LIMIT)
}
