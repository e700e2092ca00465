// The client of the Events API.

import { hasKey, webhooksEvent } from './joining.mjs'
import { Refused } from './problems.mjs'
import { oneLine } from './text.mjs'
import { format, parse } from './times.mjs'

const HOUR = 3_600_000
const MOST_PAGES = 20
const LONGEST_ASKING = 3000
const HINTS = {
  401: 'Check the secret in api-token: it may be mistyped, expired or disabled.',
  403: 'The token in api-token is not allowed to do this. Check its scopes, and account-sid.',
  404: 'Check account-sid, event-sid and api-url.',
  422: 'Check the inputs that the answer names.',
}

export class EventsApi {
  constructor({ apiUrl, accountSid, apiToken }, requests) {
    this.address = `${apiUrl}/accounts/${accountSid}/events`
    this.headers = { authorization: `Bearer ${apiToken}`, accept: 'application/json', 'user-agent': 'apitraffic-action' }
    this.requests = requests
  }

  /** Creates the event, unless an earlier attempt without an answer has already created it. */
  create(event) {
    return this.#call('POST', '', event, () => this.find(event).then((body) => body && { status: 200, body }))
  }

  /** Changes these fields only. The API's reference does not say whether by PATCH or PUT, so both are tried. */
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

  /** Finds the event by its marker key or, if `by` says how, the one that a webhook has created (`webhooksEvent`). */
  async find(event, by = {}) {
    try {
      return await this.#look(event, by)
    } catch (error) {
      // A token that may not list events may still create them.
      if (!(error instanceof Refused)) throw error
      this.requests.say(`Could not look for an existing event: the API answered ${error.httpStatus}. Continuing without.`)
      return undefined
    }
  }

  /** The deploys up to this one, `{records, hasMore}`: one page, the latest first if the API lists them so. Undefined if they
   * cannot be had in time. What the API filters is to be checked. */
  async earlier({ startedAt, endedAt }) {
    const url = `${this.address}?type=deployment&endDate=${endedAt ?? startedAt}&limit=100&page=1`
    const answer = await this.requests.ask({ method: 'GET', url, headers: this.headers }, LONGEST_ASKING)
    const page = answer?.status < 300 ? bare(answer) : undefined
    return Array.isArray(page?.records) ? page : undefined
  }

  async #look(event, by) {
    const key = event.metadata.marker_key
    const startedAt = parse(event.startedAt)
    const from = format(startedAt - HOUR)
    const to = format(startedAt + HOUR)
    const others = []
    for (let page = 1; page <= MOST_PAGES; page += 1) {
      const { records, hasMore } = await this.#call('GET', `?startDate=${from}&endDate=${to}&limit=100&page=${page}`)
      for (const listed of Array.isArray(records) ? records : []) {
        if (hasKey(listed, key)) return listed
        if (listed?.metadata) others.push(listed)
      }
      if (!hasMore || isPast(records, startedAt - HOUR)) break
    }
    return webhooksEvent(others, event, { ...by, key })
  }

  async #call(method, path, fields, beforeAgain) {
    const body = fields && JSON.stringify(fields)
    const headers = body
      ? { ...this.headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
      : this.headers
    const answer = await this.requests.send(() => ({ method, url: this.address + path, headers, body }), beforeAgain)
    const content = bare(answer)
    if (answer.status < 300 && content && typeof content === 'object') return content
    throw refusal(answer)
  }
}

/** What an answer holds, which may be in an envelope. */
const bare = ({ body }) => (body?.success === true && body.data ? body.data : body)

/** Whether no later page can hold an event that started after this moment: the newest come first, and the API may ignore
 * the period that it is asked for. */
function isPast(records, moment) {
  const starts = Array.isArray(records) ? records.map((listed) => parse(listed?.startedAt)) : []
  const isNewestFirst = starts.every((start, index) => start !== null && (index === 0 || start <= starts[index - 1]))
  return starts.length > 0 && isNewestFirst && starts.at(-1) < moment
}

/** The error for an answer that is not a success. */
export function refusal({ status, body }, hints = HINTS) {
  const { code, message } = body?.error ?? { message: body?.detail ?? body?.title }
  const words = [code, message].filter((word) => typeof word === 'string').join(': ')
  return new Refused(status, oneLine(words, 500), hints[status] ?? 'Check the address in api-url.')
}
