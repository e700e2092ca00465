// Sends through the receiver, signed according to Standard Webhooks.
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

import { createHmac, randomUUID } from 'node:crypto'

import { refusal } from './events_api.mjs'
import { Ignored } from './problems.mjs'
import { oneLine } from './text.mjs'

const PATH = '/webhooks/events'
const HINTS = {
  401: 'Check that receiver-secret is the receiver\'s EVENTS_WEBHOOK_SECRET, and check the clock of this machine.',
  404: 'Check receiver-url, and that the receiver has an EVENTS_WEBHOOK_SECRET.',
  422: 'Check the inputs that the answer names.',
}

export class Receiver {
  constructor({ receiverUrl, receiverSecret }, requests) {
    this.url = receiverUrl.endsWith(PATH) ? receiverUrl : receiverUrl + PATH
    this.secret = receiverSecret
    this.requests = requests
  }

  /** Posts an event's fields with `key` and `effect`. All attempts have the same id, by which the receiver knows them. */
  async post(fields) {
    const body = JSON.stringify(fields)
    const id = `msg_${randomUUID()}`
    const answer = await this.requests.send(() => ({
      method: 'POST', url: this.url, headers: signed(this.secret, id, body, Date.now()), body,
    }))
    if (answer.status >= 300 || !answer.body?.status) throw refusal(withFields(answer), HINTS)
    if (answer.body.status === 'ignored') throw new Ignored(`ApiTraffic: the receiver left this event out: ${oneLine(String(answer.body.reason), 300)}`)
  }
}

/** The headers of a signed request. */
export function signed(secret, id, body, now) {
  const timestamp = String(Math.floor(now / 1000))
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : secret
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signature}`,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'user-agent': 'apitraffic-action',
  }
}

/** The receiver lists the wrong fields in `errors`. */
function withFields(answer) {
  const errors = Array.isArray(answer.body?.errors) ? answer.body.errors : []
  if (!errors.length) return answer
  return { ...answer, body: { detail: errors.map(({ field, detail }) => `${field} ${detail}`).join('; ') } }
}
