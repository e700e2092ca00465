// Sends one event.

import { wholeEvent } from '../lib/event.mjs'
import { run } from '../lib/run.mjs'
import { wayFor } from '../lib/sending.mjs'
import { begin } from '../lib/step.mjs'
import { say } from '../lib/commands.mjs'

await run(async (inputs, context, outcome) => {
  if (inputs.eventSid) {
    outcome.sid = inputs.eventSid
    if (inputs.isDryRun) return { status: 'skipped', note: `Dry run: ${inputs.eventSid} was not changed.` }
    return wayFor(inputs, context, say).change(inputs)
  }
  const now = Date.now()
  const { key } = await begin(inputs, context, { isDeployment: false, at: now })
  outcome.key = key.key
  const { endedAt } = inputs
  const startedAt = inputs.startedAt ?? endedAt ?? now
  const event = wholeEvent(inputs, context, { key: key.key, startedAt, endedAt, status: inputs.jobStatus })
  outcome.event = event
  if (inputs.isDryRun) return { status: 'skipped', note: 'Dry run: nothing was sent.' }
  const effect = endedAt ? 'close' : inputs.type === 'incident' ? 'open' : 'point'
  return wayFor(inputs, context, say).put(event, key, effect)
})
