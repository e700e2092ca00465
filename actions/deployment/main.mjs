// Opens the deployment. Its state is saved before the request, because the job may be cancelled meanwhile.

import { say, saveState } from '../lib/commands.mjs'
import { wholeEvent } from '../lib/event.mjs'
import { run } from '../lib/run.mjs'
import { wayFor } from '../lib/sending.mjs'
import { begin } from '../lib/step.mjs'
import { parse } from '../lib/times.mjs'

const { env } = process

await run(async (inputs, context, outcome) => {
  const now = Date.now()
  const startedAt = inputs.startedAt ?? now
  const { key, place } = await begin(inputs, context, { isDeployment: inputs.type === 'deployment', at: now })
  const event = wholeEvent(inputs, context, { key: key.key, startedAt, status: 'in_progress' })
  saveState('opening', { startedAt, key, place }, env)
  Object.assign(outcome, { key: key.key, event, sid: inputs.eventSid })
  if (inputs.isDryRun) return { status: 'skipped', note: 'Dry run: nothing was sent.' }
  const way = wayFor(inputs, context, say)
  if (inputs.eventSid && way.get) {
    const opened = await way.get(inputs.eventSid)
    saveState('opened', openedBy(opened, inputs.eventSid, startedAt), env)
    return { status: 'updated', event: opened, sid: inputs.eventSid, key: opened.metadata?.marker_key ?? key.key }
  }
  const sent = await way.put(event, key, 'open')
  if (sent.sid) saveState('opened', { ...openedBy(sent.event, sent.sid, startedAt), isShared: sent.isShared }, env)
  return sent
}, { hasSummary: false })

function openedBy({ startedAt, metadata, name, description }, sid, otherwise) {
  return { sid, startedAt: parse(startedAt) ?? otherwise, metadata, name, description }
}
