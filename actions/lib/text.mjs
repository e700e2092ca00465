// Texts and limits as in the receiver (apitraffic_events/text.py, receiver/wording.py); tests/vectors has what they share.

export const NAME_LIMIT = 200
export const DESCRIPTION_LIMIT = 2000
export const METADATA_TEXT_LIMIT = 1000
const KEY_LIMIT = 300

// Control characters, separators, marks that change the direction of text, spaces without width, lone surrogates.
const INVISIBLE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]+/gu
const LINE_BREAK = /\r\n|[\n\r\v\f\u001c-\u001e\u0085\u2028\u2029]/u
const HEX = /^[0-9a-f]{7,64}$/u
// What looks like a tag, if nobody says which refs are tags: v2.3.1, checkout-v1.4.0-rc.2, @acme/cart@3.0.0.
export const VERSION = /^(?:(?:@[^/]+\/)?[^/]*[@-])?v?\d+(?:\.\d+)+(?:[-+.][0-9A-Za-z.+-]+)?$/u

const collapse = (text) => text.replace(INVISIBLE, ' ').trim().split(/\s+/u).join(' ')

/** Makes text safe and short: invisible characters become spaces, and long text is cut at a word with `…`. */
export function oneLine(text, limit) {
  const line = [...collapse([...text].slice(0, limit * 4).join(''))]
  if (line.length <= limit) return line.join('')
  const cut = line.slice(0, limit - 1)
  const lastSpace = cut.lastIndexOf(' ')
  const atWord = line[limit - 1] === ' ' ? cut : cut.slice(0, Math.max(lastSpace, 0))
  const kept = atWord.length > Math.floor(limit / 2) ? atWord : cut
  return `${kept.join('').replace(/[ ,;:\-(]+$/u, '')}…`
}

/** Like `oneLine`, but keeps line breaks. */
export function paragraphs(text) {
  const lines = [...text].slice(0, DESCRIPTION_LIMIT * 4).join('').split(LINE_BREAK)
  const joined = [...lines.map(collapse).join('\n').trim()]
  if (joined.length <= DESCRIPTION_LIMIT) return joined.join('')
  return `${joined.slice(0, DESCRIPTION_LIMIT - 1).join('').trimEnd()}…`
}

/** The first line that is not empty. */
export function firstLine(text) {
  return text.split(LINE_BREAK).map((line) => oneLine(line, METADATA_TEXT_LIMIT)).find(Boolean)
}

/** A marker's key on one line. A key that is too long ends in a digest, so that two never become the same. */
export async function markerKey(text) {
  const line = collapse(text)
  if ([...line].length <= KEY_LIMIT) return line
  const { createHash } = await import('node:crypto')
  const digest = createHash('sha256').update(line).digest('hex').slice(0, 32)
  return `${[...line].slice(0, KEY_LIMIT - digest.length - 1).join('')}~${digest}`
}

/** What is deployed, in the shortest unambiguous form: a tag, or `branch@0123abc`. */
export function describeVersion(ref, commit) {
  const short = (commit ?? '').slice(0, 7)
  const name = (ref ?? '').replace(/^refs\/(heads|tags)\//u, '')
  if (!name || (HEX.test(name) && (commit || name).startsWith(name.slice(0, 7)))) return short || name.slice(0, 7)
  const isTag = (ref ?? '').startsWith('refs/tags/')
  const isBranch = (ref ?? '').startsWith('refs/heads/')
  if (isTag || !short || (VERSION.test(name) && !isBranch)) return name
  return `${name}@${short}`
}

/** `45 s`, `5 min 3 s`, `2 h 10 min`, `3 d 4 h`; never negative. */
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000))
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(seconds / 3600)
  const days = Math.floor(seconds / 86400)
  if (!minutes) return `${seconds} s`
  let parts = [[minutes, 'min'], [seconds % 60, 's']]
  if (days) parts = [[days, 'd'], [hours % 24, 'h']]
  else if (hours) parts = [[hours, 'h'], [minutes % 60, 'min']]
  return parts.filter(([amount]) => amount).map(([amount, unit]) => `${amount} ${unit}`).join(' ')
}
