// Closes the deployment after the job's last step. The runner evaluates the inputs again for this, also `job.status`.

import { say } from '../lib/commands.mjs'
import { defaultName, described, wholeEvent } from '../lib/event.mjs'
import { outcomeOf } from '../lib/outcome.mjs'
import { previousIn, withPrevious } from '../lib/previous.mjs'
import { run } from '../lib/run.mjs'
import { wayFor } from '../lib/sending.mjs'
import { begin, next } from '../lib/step.mjs'
import { format, parse } from '../lib/times.mjs'

await run(async (inputs, context, outcome) => {
  if (!inputs.closes) return { status: 'skipped', note: 'Left open: the input close is false.' }
  const { startedAt: beganAt, key, place } = saved('opening') ?? await opening(inputs, context)
  const after = inputs.type === 'deployment' ? next(place) : undefined
  const endedAt = inputs.endedAt ?? after?.at ?? Date.now()
  const status = outcomeOf({
    given: inputs.isOutcomeGiven && inputs.jobStatus,
    jobStatusBefore: inputs.eventSid ? 'success' : place.jobStatus,
    next: after,
    jobStatus: inputs.runnerStatus,
  })
  const whole = wholeEvent(inputs, context, { key: key.key, startedAt: beganAt, endedAt, status })
  Object.assign(outcome, { key: key.key, event: whole, sid: inputs.eventSid })
  if (inputs.isDryRun) return { status: 'skipped', note: 'Dry run: nothing was sent.' }
  const way = wayFor(inputs, context, say)
  const opened = saved('opened') ?? (inputs.eventSid && way.get && found(await way.get(inputs.eventSid), inputs.eventSid))
  // An opening without an answer may have been carried out, so look for the event.
  if (!opened) return way.put(whole, { ...key, isInDoubt: true }, 'close')
  const startedAt = inputs.startedAt ?? opened.startedAt
  const previous = previousIn(opened)
  const told = (event) => withPrevious(event, previous, Boolean(inputs.name))
  const isOurName = !inputs.name && opened.name === told({ ...whole, name: defaultName(inputs, context) }).name
  const { name, description } = told({ ...whole, ...described(inputs, context, { startedAt, endedAt, status }) })
  return way.close(opened, {
    ...(isOurName && { name }),
    ...(description && { description }),
    endedAt: format(Math.max(endedAt, startedAt)),
    metadata: { ...opened.metadata, ...inputs.metadata, status },
  }, told(whole))
}, { hasOutputs: false })

function saved(name) {
  const text = process.env[`STATE_${name}`]
  return text ? JSON.parse(text) : undefined
}

/** What the main step would have saved, had it come so far. */
async function opening(inputs, context) {
  const now = Date.now()
  return { startedAt: inputs.startedAt ?? now, ...await begin(inputs, context, { isDeployment: false, at: now }) }
}

function found({ startedAt, metadata, name, description }, sid) {
  return { sid, startedAt: parse(startedAt) ?? Date.now(), metadata, name, description }
}
