// The input `metadata`: lines of `key: value`, or a JSON object. Parts that cannot be read are left out with a warning.

import { METADATA_TEXT_LIMIT, oneLine } from './text.mjs'

const MOST_KEYS = 100
const DEEPEST = 4
const LARGEST = 16384

/** Gives the metadata and a list of warnings. */
export function readMetadata(text) {
  if (!text) return [{}, []]
  return text.startsWith('{') || text.startsWith('[') ? fromJson(text) : fromLines(text)
}

/** Metadata without empty values, with safe and short texts. Throws `RangeError` if it is over the limits. */
export function tidied(metadata) {
  const tidy = tidyValue(metadata, 0)
  const kept = Object.fromEntries(Object.entries(tidy).filter(([, value]) => !isEmpty(value)))
  const keys = Object.keys(kept).length
  if (keys > MOST_KEYS) throw new RangeError(`has ${keys} keys; at most ${MOST_KEYS} are allowed`)
  const size = JSON.stringify(kept).length
  if (size > LARGEST) throw new RangeError(`is ${size} characters long as JSON; at most ${LARGEST} are allowed`)
  return kept
}

function fromJson(text) {
  try {
    const read = JSON.parse(text)
    if (Array.isArray(read)) throw new RangeError('is a list')
    return [tidied(read), []]
  } catch (error) {
    const why = error instanceof SyntaxError ? 'is not valid JSON' : error.message
    return [{}, [`the input metadata ${why}; the event is sent without it.`]]
  }
}

function fromLines(text) {
  const warnings = []
  const pairs = []
  for (const line of text.split(/\r\n|[\r\n]/u).filter((each) => each.trim())) {
    const colon = line.indexOf(':')
    const key = line.slice(0, Math.max(colon, 0)).trim()
    if (key) pairs.push([key, line.slice(colon + 1).trim()])
    else warnings.push(`the input metadata has a line that is not "key: value": ${JSON.stringify(oneLine(line, 80))}; it is left out.`)
  }
  try {
    return [tidied(Object.fromEntries(pairs)), warnings]
  } catch (error) {
    return [{}, [...warnings, `the input metadata ${error.message}; the event is sent without it.`]]
  }
}

function tidyValue(value, depth) {
  if (depth > DEEPEST) throw new RangeError(`is nested deeper than ${DEEPEST} levels`)
  if (typeof value === 'string') return oneLine(value, METADATA_TEXT_LIMIT)
  if (Array.isArray(value)) return value.map((item) => tidyValue(item, depth + 1))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [oneLine(key, METADATA_TEXT_LIMIT), tidyValue(item, depth + 1)]),
  )
}

function isEmpty(value) {
  return value === null || value === undefined || value === '' || (typeof value === 'object' && !Object.keys(value).length)
}
