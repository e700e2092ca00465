// What one step is about: the key of its event, and its place among the steps of the job.

import { randomUUID } from 'node:crypto'

import { keyOf } from './event.mjs'
import { JobRecord } from './job.mjs'
import { nextOf } from './outcome.mjs'
import { markerKey } from './text.mjs'

/** Records the step, which began at the moment `at`, and gives `{key, place}`. A step that sends nothing or is about an
 * existing event is not recorded. A second deployment of the job to the same environment gets a key of its own, which
 * no webhook joins. */
export async function begin(inputs, context, { isDeployment, at }, env = process.env) {
  const key = await keyOf(inputs, context, randomUUID())
  const deploysNothing = inputs.eventSid || inputs.isDryRun
  const place = (deploysNothing ? null : new JobRecord(env).add((before) => ({
    isDeployment,
    base: key.key,
    isGiven: key.isGiven,
    nth: before.filter(({ base }) => base === key.key).length + 1,
    at,
    jobStatus: inputs.runnerStatus,
  }))) ?? { jobStatus: inputs.runnerStatus }
  if (!key.joinsBy || !(place.nth > 1)) return { key, place }
  return { key: { ...key, key: await markerKey(`${key.key}:${place.nth}`), joinsBy: null }, place }
}

/** The next deployment of this job, if one has begun since. */
export const next = (place, env = process.env) => (place.number ? nextOf(new JobRecord(env).steps(), place) : undefined)
