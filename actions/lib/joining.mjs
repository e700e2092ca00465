// Which of the events in the API is the one that a step is about (docs/ci-plugins.md). No I/O in here.

import { hostOf } from './context.mjs'
import { parse } from './times.mjs'

const OF_A_PLUGIN = /^github:(?:[^:]+(?::\d+)?:)?(?:job:\d+|run:\d+:\d+):/u
const HAS_NOT_ENDED = [undefined, '', 'in_progress']

/** Whether it is the event of this key, by whatever key it was created. */
export const hasKey = (listed, key) => [listed?.metadata?.marker_key, listed?.metadata?.joined_by].includes(key)

/** The event that a webhook has created for the same deployment. With the id of the job there can be no mistake. With the
 * run only, it is the one event that fits, and none if there are several: a second event is better than an outcome
 * that covers a neighbour's. */
export function webhooksEvent(listed, event, { joinsBy, host, key }) {
  if (!joinsBy) return undefined
  const fitting = listed.filter((each) => isDeploymentHere(each, event, host) && !hasEnded(each, event.startedAt))
  if (joinsBy === 'job') return fitting.find((each) => isSame(each, event, ['check_run_id']))
  const ofRun = fitting.filter((each) => isSame(each, event, ['run_id', 'run_attempt']) && isFree(each, key))
  return ofRun.length === 1 ? ofRun[0] : undefined
}

function isDeploymentHere({ type, metadata }, event, host) {
  const page = metadata?.run_url ?? metadata?.repository_url
  return type === 'deployment'
    && (metadata?.deployment_id !== undefined || String(metadata?.marker_key).includes(':deployment:'))
    && String(metadata.environment ?? '').toLowerCase() === String(event.metadata.environment ?? '').toLowerCase()
    && (page === undefined || hostOf(String(page)) === host)
}

/** Whether it had ended at that moment. A point has no end: it is drawn when the deployment has ended. */
function hasEnded({ startedAt, endedAt, metadata }, moment) {
  const end = endedAt ?? (HAS_NOT_ENDED.includes(metadata.status) ? undefined : startedAt)
  return end !== undefined && parse(end) <= parse(moment)
}

const isSame = (listed, event, facts) => facts.every(
  (fact) => event.metadata[fact] !== undefined && String(listed.metadata[fact]) === String(event.metadata[fact]))

/** Whether no other plugin's event has been joined with it. */
const isFree = ({ metadata }, key) => [undefined, key].includes(metadata.joined_by) && !OF_A_PLUGIN.test(metadata.marker_key)
