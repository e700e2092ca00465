// Times: milliseconds inside, ISO 8601 with milliseconds and `Z` outside.

import { InputProblem } from './problems.mjs'

const ISO = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?([.,]\d{1,9})?\s*(Z|UTC|[+-]\d{2}:?\d{2})?)?$/u
const EPOCH = /^(?:\d{9,10}|\d{12,13})$/u

/** Reads ISO 8601 (UTC if it has no offset), Unix seconds or milliseconds, or `now`. Null if empty. */
export function readTime(name, text, now) {
  if (!text) return null
  if (text.toLowerCase() === 'now') return now
  if (EPOCH.test(text)) return text.length > 10 ? Number(text) : Number(text) * 1000
  const moment = parse(text)
  if (moment !== null) return moment
  const shown = JSON.stringify([...text].slice(0, 60).join(''))
  throw new InputProblem(name, `is ${shown}, which is not a time; write it as 2026-01-10T10:05:00Z, Unix seconds or now.`)
}

/** The milliseconds of an ISO 8601 time, or null. */
export function parse(text) {
  const found = ISO.exec(String(text))
  if (!found) return null
  const [, day, minutes = '00:00', seconds = ':00', fraction = '', offset = 'Z'] = found
  const zone = offset === 'UTC' ? 'Z' : offset.replace(/^([+-]\d{2})(\d{2})$/u, '$1:$2')
  const moment = Date.parse(`${day}T${minutes}${seconds}${fraction.replace(',', '.').slice(0, 4)}${zone}`)
  const isDay = new Date(Date.parse(`${day}T00:00:00Z`) || 0).toISOString().startsWith(day)
  return Number.isNaN(moment) || !isDay ? null : moment
}

export const format = (milliseconds) => new Date(milliseconds).toISOString()
