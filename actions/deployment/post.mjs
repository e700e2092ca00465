// Closes the deployment with the outcome of the job: the runner evaluates `job.status` again for this step.

import { randomUUID } from 'node:crypto'

import { say } from '../lib/commands.mjs'
import { defaultName, described, keyOf, wholeEvent } from '../lib/event.mjs'
import { run } from '../lib/run.mjs'
import { wayFor } from '../lib/sending.mjs'
import { format, parse } from '../lib/times.mjs'

await run(async (inputs, context, outcome) => {
  if (!inputs.closes) return { status: 'skipped', note: 'Left open: the input close is false.' }
  const opening = saved('opening') ?? { startedAt: inputs.startedAt ?? Date.now(), key: await keyOf(inputs, context, randomUUID()) }
  const { key } = opening
  const endedAt = inputs.endedAt ?? Date.now()
  const status = inputs.jobStatus
  const whole = wholeEvent(inputs, context, { key: key.key, startedAt: opening.startedAt, endedAt, status })
  Object.assign(outcome, { key: key.key, event: whole, sid: inputs.eventSid })
  if (inputs.isDryRun) return { status: 'skipped', note: 'Dry run: nothing was sent.' }
  const way = wayFor(inputs, context, say)
  const opened = saved('opened') ?? (inputs.eventSid && way.get && found(await way.get(inputs.eventSid), inputs.eventSid))
  // An opening without an answer may have been carried out, so look for the event.
  if (!opened) return way.put(whole, { ...key, isKnown: true }, 'close')
  const startedAt = inputs.startedAt ?? opened.startedAt
  const isOurName = !inputs.name && opened.name === defaultName(inputs, context)
  return way.close(opened.sid, {
    ...(isOurName && { name: whole.name }),
    ...described(inputs, context, { startedAt, endedAt, status }),
    endedAt: format(Math.max(endedAt, startedAt)),
    metadata: { ...opened.metadata, ...inputs.metadata, status },
  })
}, { hasOutputs: false })

function saved(name) {
  const text = process.env[`STATE_${name}`]
  return text ? JSON.parse(text) : undefined
}

function found({ startedAt, metadata, name }, sid) {
  return { sid, startedAt: parse(startedAt) ?? Date.now(), metadata, name }
}
