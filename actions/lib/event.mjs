// Builds the event in the fields of the Events API. No I/O in here.

import { UNKNOWN } from './outcome.mjs'
import { InputProblem } from './problems.mjs'
import { NAME_LIMIT, describeVersion, duration, markerKey, oneLine, paragraphs } from './text.mjs'
import { format } from './times.mjs'
import { tidied } from './metadata.mjs'

export const SOURCE = 'github_actions'
const OUTCOMES = {
  success: ['Deploy', 'Succeeded', ''],
  failure: ['Failed deploy', 'Failed', ''],
  cancelled: ['Cancelled deploy', 'Cancelled', ''],
  [UNKNOWN]: ['Deploy', 'Ended', '; whether it succeeded is not known'],
}

/** The marker's key, and by which name a webhook's event may be joined with it: that of the `job`, that of the `run`, or
 * none. GitHub ignores the case of an environment's name. */
export async function keyOf(inputs, context, random) {
  if (inputs.markerKey) return { key: await markerKey(inputs.markerKey), isGiven: true, joinsBy: null }
  const github = ['github', context.host].filter(Boolean).join(':')
  const run = `${github}:run:${context.run_id}:${context.run_attempt}`
  const environment = environmentOf(inputs, context)?.toLowerCase()
  if (inputs.type !== 'deployment' || !environment) {
    return { key: await markerKey(`${run}:event:${random}`), isGiven: false, joinsBy: null }
  }
  if (context.check_run_id) {
    return { key: await markerKey(`${github}:job:${context.check_run_id}:${environment}`), isGiven: false, joinsBy: 'job' }
  }
  const job = context.instance ? `:job:${context.instance}` : ''
  return { key: await markerKey(`${run}:${environment}${job}`), isGiven: false, joinsBy: 'run' }
}

/** `Deploy acme/shop v2.3.1 to production`, or `Failed deploy …`. */
export function defaultName(inputs, context, outcome = 'success') {
  const version = inputs.version || describeVersion(context.ref, context.commit)
  const environment = environmentOf(inputs, context)
  const words = [OUTCOMES[outcome][0], context.repository, version, environment && `to ${environment}`]
  return oneLine(words.filter(Boolean).join(' '), NAME_LIMIT)
}

/** A complete event. `status` is `in_progress` or an outcome, and is used for deployments only. */
export function wholeEvent(inputs, context, { key, startedAt, endedAt, status }) {
  const isDeployment = inputs.type === 'deployment'
  if (!inputs.name && !isDeployment) {
    throw new InputProblem('name', `is empty; say what happened. Only a deployment gets a name by default, and this event is of type ${inputs.type}.`)
  }
  const outcome = status in OUTCOMES ? status : 'success'
  return {
    type: inputs.type,
    name: inputs.name ? oneLine(inputs.name, NAME_LIMIT) : defaultName(inputs, context, outcome),
    ...described(inputs, context, { startedAt, endedAt, status }),
    source: SOURCE,
    ...scopeOf(inputs),
    startedAt: format(startedAt),
    ...(endedAt && { endedAt: format(Math.max(endedAt, startedAt)) }),
    metadata: metadataOf(inputs, context, key, isDeployment ? status : undefined),
  }
}

/** The fields that the inputs give, to change those of an existing event and nothing else. */
export function givenFields(inputs, metadata) {
  return {
    ...(inputs.name && { name: oneLine(inputs.name, NAME_LIMIT) }),
    ...(inputs.description && { description: paragraphs(inputs.description) }),
    ...scopeOf(inputs),
    ...(inputs.startedAt && { startedAt: format(inputs.startedAt) }),
    ...(inputs.endedAt && { endedAt: format(inputs.endedAt) }),
    ...(Object.keys(inputs.metadata).length && { metadata: { ...metadata, ...inputs.metadata } }),
  }
}

/** The description. At the end of a deployment: its outcome, duration and actor, then the user's own description. */
export function described(inputs, context, { startedAt, endedAt, status }) {
  const lines = [inputs.description]
  if (inputs.type === 'deployment' && endedAt && status in OUTCOMES) {
    const by = context.actor ? ` by ${context.actor}` : ''
    const [, outcome, remark] = OUTCOMES[status]
    lines.unshift(`${outcome} after ${duration(endedAt - startedAt)}${by}${remark}.`)
  }
  const description = paragraphs(lines.filter(Boolean).join('\n'))
  return description ? { description } : {}
}

const environmentOf = (inputs, context) => inputs.environment || context.environment

function scopeOf(inputs) {
  return {
    ...(inputs.buckets.length && { buckets: inputs.buckets }),
    ...(inputs.environments.length && { environments: inputs.environments }),
  }
}

function metadataOf(inputs, context, key, status) {
  const { isFork, host, instance, environment: _, ...facts } = context
  const version = inputs.version || (inputs.type === 'deployment' && describeVersion(context.ref, context.commit))
  const known = { ...facts, environment: environmentOf(inputs, context), version: version || undefined, status }
  const own = tidied(known)
  try {
    return tidied({ ...own, ...inputs.metadata, marker_key: key })
  } catch (error) {
    inputs.warnings.push(`the input metadata ${error.message}; the event is sent without it.`)
    return { ...own, marker_key: key }
  }
}
