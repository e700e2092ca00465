// The two ways to send an event: directly to the API, or through the receiver. Each gives `{status, event, sid}`.

import { givenFields } from './event.mjs'
import { EventsApi } from './events_api.mjs'
import { Requests } from './http.mjs'
import { isOfAHistory, previousOf, withPrevious, withoutPrevious } from './previous.mjs'
import { InputProblem, NotConfigured } from './problems.mjs'
import { Receiver } from './receiver.mjs'

/** The way that the inputs configure. Throws `NotConfigured` with the usual causes. */
export function wayFor(inputs, context, say) {
  const requests = new Requests(inputs.seconds, say)
  if (inputs.receiverUrl && inputs.receiverSecret) return new ByReceiver(new Receiver(inputs, requests))
  if (inputs.apiToken && inputs.accountSid) return new Directly(new EventsApi(inputs, requests), context.host, inputs)
  const empty = Object.entries(
    inputs.receiverUrl || inputs.receiverSecret
      ? { 'receiver-url': inputs.receiverUrl, 'receiver-secret': inputs.receiverSecret }
      : { 'api-token': inputs.apiToken, 'account-sid': inputs.accountSid },
  ).filter(([, value]) => !value).map(([name]) => name)
  const which = `the ${empty.length > 1 ? 'inputs' : 'input'} ${empty.join(' and ')} ${empty.length > 1 ? 'are' : 'is'} empty.`
  const causes = context.isFork
    ? 'This run is for a pull request from a fork, and forks get no secrets.'
    : 'Usual causes: the secret or variable does not exist in this repository or environment, or has another name; a'
      + ' reusable workflow was called without `secrets: inherit`; the run is for a fork or Dependabot, which get no secrets.'
  throw new NotConfigured(`${which} ${causes}`)
}

/** What this gives; nothing if the API's answer is so odd that it cannot be read. */
function certain(give) {
  try {
    return give()
  } catch {
    return undefined
  }
}

class Directly {
  constructor(api, host, { name, saysPrevious }) {
    this.api = api
    this.host = host
    this.keepsName = Boolean(name)
    this.saysPrevious = saysPrevious
  }

  /** Creates the event, or updates the one that exists. It exists if its key was given and used before, if an attempt to
   * create it had no answer (`isInDoubt`), or if a webhook was first. */
  async put(event, { isGiven, joinsBy, isInDoubt }, effect) {
    const mayExist = isGiven || joinsBy || isInDoubt
    const [found, earlier] = await Promise.all([
      mayExist ? this.api.find(event, { joinsBy, host: this.host }) : undefined,
      this.saysPrevious && isOfAHistory(event) ? this.api.earlier(event) : undefined,
    ])
    const previous = earlier && certain(() => previousOf(event, earlier, found?.sid))
    const whole = withPrevious(event, previous, this.keepsName)
    if (!found) return this.#create(whole)
    const key = event.metadata.marker_key
    const theirs = previous ? withoutPrevious(found) : found
    const described = previous && !event.description ? { ...event, description: theirs.description } : event
    const { type, startedAt, ...fields } = withPrevious(described, previous, this.keepsName)
    const reopened = effect === 'open' && found.endedAt ? { endedAt: null } : {}
    // Its key stays: the receiver knows it by that.
    const names = found.metadata.marker_key && found.metadata.marker_key !== key
      ? { marker_key: found.metadata.marker_key, joined_by: key }
      : {}
    const merged = { ...fields, ...reopened, metadata: { ...theirs.metadata, ...fields.metadata, ...names } }
    const isShared = joinsBy === 'run' && Boolean(names.joined_by)
    if (isShared && !(await this.#isFree(found.sid, key))) return this.#create(whole)
    const updated = await this.api.update(found.sid, merged)
    return { status: 'updated', ...stored(updated, found.sid), key: merged.metadata.marker_key, isShared }
  }

  /** Ends the event of this SID. By the run's name alone, two jobs may have found it at the same moment: then the last one
   * has it, and the other one gets an event of its own. */
  async close(opened, fields, whole) {
    if (opened.isShared && !(await this.#isFree(opened.sid, whole.metadata.marker_key))) return this.#create(whole)
    return { status: 'updated', ...stored(await this.api.update(opened.sid, fields), opened.sid) }
  }

  async #create(event) {
    return { status: 'created', ...stored(await this.api.create(event)) }
  }

  async #isFree(sid, key) {
    const { metadata } = await this.api.get(sid)
    return [undefined, key].includes(metadata?.joined_by)
  }

  /** Changes only the given fields of the event with this SID. */
  async change(inputs) {
    const known = Object.keys(inputs.metadata).length ? await this.api.get(inputs.eventSid) : {}
    const fields = givenFields(inputs, known.metadata)
    if (!Object.keys(fields).length) {
      throw new InputProblem('event-sid', 'is given, but no input says what to change. To close the event, give ended-at: now.')
    }
    return { status: 'updated', ...stored(await this.api.update(inputs.eventSid, fields), inputs.eventSid) }
  }

  get(sid) {
    return this.api.get(sid)
  }
}

class ByReceiver {
  constructor(receiver) {
    this.receiver = receiver
  }

  async put(event, _key, effect) {
    const { marker_key: key } = event.metadata
    await this.receiver.post({ ...event, key, effect })
    return { status: effect === 'close' ? 'updated' : 'created', event, sid: '' }
  }

  change() {
    throw new InputProblem('event-sid', 'cannot be used with a receiver, which identifies events by marker-key. Give marker-key instead.')
  }
}

function stored(answer, sid = '') {
  return { event: answer, sid: typeof answer.sid === 'string' ? answer.sid : sid }
}
