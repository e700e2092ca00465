// HTTP requests that are retried within a time budget (docs/ci-plugins.md, "Trying again").

import http from 'node:http'
import https from 'node:https'

import { Unreachable } from './problems.mjs'
import { oneLine } from './text.mjs'

const LONGEST_WAIT = 10_000
const SHARE_OF_ASKING = 0.25
const SHORTEST_PAUSE = 500
const LONGEST_PAUSE = 8000
const LARGEST_ANSWER = 32 * 1024 * 1024
const AGAIN = [408, 425, 429]
const NO_CONTENT = 204
const NOTHING_WAS_SENT = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']
const SECONDS = /^\d{1,10}$/u
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/u

export class Requests {
  #deadline
  #beganAt
  #tries = 0

  constructor(seconds, say) {
    this.seconds = seconds
    this.say = say
  }

  /** Gives the answer `{status, body}`, a success or a refusal. `make` makes `{method, url, headers, body}` for each
   * attempt. After an attempt that may have succeeded without an answer, `beforeAgain` is called; if it gives an
   * answer, there is no further attempt. Throws `Unreachable` at the end of the budget. */
  async send(make, beforeAgain) {
    this.#begin()
    for (let round = 0; ; round += 1) {
      this.#tries += 1
      const outcome = await once(make(), Math.min(LONGEST_WAIT, this.#deadline - Date.now()))
      if (!outcome.problem) return outcome
      await this.#pause(outcome, round)
      const found = outcome.mayBeDone && beforeAgain && (await beforeAgain())
      if (found) return found
    }
  }

  /** Gives the answer to one request on which nothing depends, or undefined if there is none within so many milliseconds. */
  async ask(request, milliseconds) {
    this.#begin()
    const outcome = await once(request, Math.min(milliseconds, this.seconds * 1000 * SHARE_OF_ASKING))
    return outcome.problem ? undefined : outcome
  }

  #begin() {
    this.#beganAt ??= Date.now()
    this.#deadline ??= this.#beganAt + this.seconds * 1000
  }

  async #pause({ problem, wait }, round) {
    const pause = wait ?? Math.random() * longestPause(round + 1)
    if (Date.now() + pause >= this.#deadline) {
      const asks = wait === undefined ? '' : `; it asks to wait ${Math.ceil(wait / 1000)} s, but timeout-seconds is ${this.seconds}`
      throw new Unreachable(problem + asks, this.#tries, (Date.now() - this.#beganAt) / 1000)
    }
    this.say(`${problem}; trying again in ${(pause / 1000).toFixed(1)} s`)
    await new Promise((resolve) => { setTimeout(resolve, pause) })
  }
}

/** One request: its answer, or a temporary `problem` and whether the request may have been carried out (`mayBeDone`). */
function once({ method, url, headers, body }, milliseconds) {
  const target = new URL(url)
  const client = target.protocol === 'https:' ? https : http
  return new Promise((resolve) => {
    // Node.js 24 uses the proxy that HTTPS_PROXY names; older versions ignore this option.
    const agent = new client.Agent({ proxyEnv: process.env })
    const request = client.request(target, { method, agent, headers: { ...headers, connection: 'close' } })
    const timer = setTimeout(() => request.destroy(new Error('no answer in time')), Math.max(1, milliseconds))
    const settle = (outcome) => { clearTimeout(timer); resolve(outcome) }
    const broken = (error) => settle({
      problem: oneLine(`${target.host}: ${error.code ?? error.message}`, 200),
      mayBeDone: !NOTHING_WAS_SENT.includes(error.code),
    })
    request.on('error', broken)
    request.on('response', (response) => {
      const chunks = []
      let size = 0
      response.on('data', (chunk) => {
        size += chunk.length
        if (size > LARGEST_ANSWER) request.destroy(new Error('the answer is too large'))
        else chunks.push(chunk)
      })
      response.on('error', broken)
      response.on('end', () => settle(read(response, Buffer.concat(chunks).toString('utf8'), target)))
    })
    request.end(body)
  })
}

function read(response, text, target) {
  const status = response.statusCode
  if (status >= 500 || AGAIN.includes(status)) {
    return { problem: `${target.host} answered ${status}`, mayBeDone: status >= 500, wait: askedPause(response) }
  }
  try {
    return { status, body: JSON.parse(text) }
  } catch {
    // A page of a proxy proves nothing: the request may have been carried out, or not.
    if (status >= 200 && status < 300 && status !== NO_CONTENT) {
      return { problem: `${target.host} answered ${status} without JSON`, mayBeDone: true }
    }
    return { status, body: null }
  }
}

/** Milliseconds after this many failures in a row, before a random part of it is taken. */
export const longestPause = (failures) => Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** (failures - 1))

/** Milliseconds that the answer asks to wait, or undefined if it asks for none. RFC 9110, 10.2.3. */
export function askedPause({ statusCode, headers }, now = Date.now()) {
  const moment = momentToRetry(statusCode, headers, now)
  return moment > now ? moment - now : undefined
}

function momentToRetry(status, { 'retry-after': after = '', 'x-ratelimit-reset': reset = '' }, now) {
  if (SECONDS.test(after)) return now + Number(after) * 1000
  if (HTTP_DATE.test(after)) return Date.parse(after)
  return status === 429 && SECONDS.test(reset) ? Number(reset) * 1000 : NaN
}
