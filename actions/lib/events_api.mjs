// Straight to the Events API.

import { Refused } from './problems.mjs'
import { oneLine } from './text.mjs'
import { format, parse } from './times.mjs'

const HOUR = 3_600_000
const MOST_PAGES = 100
const HINTS = {
  401: 'Look at the secret that api-token holds: it may be mistyped, expired or switched off.',
  403: 'The token of api-token may not do this: look at its scopes, and at account-sid.',
  404: 'Look at account-sid, event-sid and api-url.',
  422: 'Look at the inputs that the answer names.',
}

export class EventsApi {
  constructor({ apiUrl, accountSid, apiToken }, requests) {
    this.address = `${apiUrl}/accounts/${accountSid}/events`
    this.headers = { authorization: `Bearer ${apiToken}`, accept: 'application/json', 'user-agent': 'apitraffic-action' }
    this.requests = requests
  }

  /** Creates it; one that an earlier try created after all is taken instead. */
  create(event) {
    return this.#call('POST', '', event, () => this.find(event).then((body) => body && { status: 200, body }))
  }

  /** Only these fields change. Which method does it, the API's reference leaves open. */
  async update(sid, fields) {
    const path = `/${encodeURIComponent(sid)}`
    try {
      return await this.#call('PATCH', path, fields)
    } catch (error) {
      if (![404, 405].includes(error.httpStatus)) throw error
      return this.#call('PUT', path, fields)
    }
  }

  get(sid) {
    return this.#call('GET', `/${encodeURIComponent(sid)}`)
  }

  /** The event that is this one: by its marker key, or, where `isRun`, a deployment by the same run. */
  async find(event, isRun = false) {
    try {
      return await this.#look(event, isRun && Boolean(event.metadata.environment))
    } catch (error) {
      // A token that may not list events may still create them.
      if (!(error instanceof Refused)) throw error
      this.requests.say(`Existing events could not be looked up (${error.httpStatus}).`)
      return undefined
    }
  }

  async #look(event, isRun) {
    const startedAt = parse(event.startedAt)
    const from = format(startedAt - HOUR)
    const to = format(startedAt + HOUR)
    let ofRun
    for (let page = 1; page <= MOST_PAGES; page += 1) {
      const { records, hasMore } = await this.#call('GET', `?startDate=${from}&endDate=${to}&limit=100&page=${page}`)
      for (const listed of Array.isArray(records) ? records : []) {
        if (listed?.metadata?.marker_key === event.metadata.marker_key) return listed
        if (isRun && isSameRun(listed, event)) ofRun ??= listed
      }
      if (!hasMore) break
    }
    return ofRun
  }

  async #call(method, path, fields, beforeAgain) {
    const body = fields && JSON.stringify(fields)
    const headers = body
      ? { ...this.headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
      : this.headers
    const answer = await this.requests.send(() => ({ method, url: this.address + path, headers, body }), beforeAgain)
    const bare = answer.body?.success === true && answer.body.data ? answer.body.data : answer.body
    if (answer.status < 300 && bare && typeof bare === 'object') return bare
    throw refusal(answer)
  }
}

/** What an answer that is not a success says, in a line. */
export function refusal({ status, body }, hints = HINTS) {
  const { code, message } = body?.error ?? { message: body?.detail ?? body?.title }
  const words = [code, message].filter((word) => typeof word === 'string').join(': ')
  return new Refused(status, oneLine(words, 500), hints[status] ?? 'Is the address right? Look at api-url.')
}

function isSameRun(listed, event) {
  const facts = ['repository', 'run_id', 'run_attempt', 'environment']
  return listed?.type === 'deployment'
    && facts.every((fact) => String(listed.metadata?.[fact]) === String(event.metadata[fact]))
}
