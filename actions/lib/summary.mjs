// The table in the job summary.

import { duration, oneLine } from './text.mjs'
import { parse } from './times.mjs'

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;', '|': '&#124;', '`': '&#96;', '@': '&#64;' }
const escaped = (text) => oneLine(String(text), 1000).replace(/[&<>"'|`@]/gu, (each) => ENTITIES[each])

/** HTML, because Markdown would interpret characters in the names of branches and events. */
export function summaryOf({ status, event, sid, key }, problem) {
  const { name, type, startedAt, endedAt, metadata = {}, buckets, environments } = event
  const rows = {
    Event: escaped(name ?? sid),
    Type: escaped(type ?? ''),
    Status: escaped([status, metadata.status].filter(Boolean).join(', ')),
    Link: link(metadata.url),
    Scope: escaped(scope('buckets', buckets) + scope(', environments', environments)),
    Started: escaped(startedAt ?? ''),
    Duration: startedAt && endedAt ? escaped(duration(parse(endedAt) - parse(startedAt))) : '',
    SID: escaped(sid),
    'Marker key': escaped(key),
    Problem: escaped(problem?.message ?? ''),
  }
  const cells = Object.entries(rows).filter(([, cell]) => cell).map(([title, cell]) => `<tr><th>${title}</th><td>${cell}</td></tr>`)
  return `<table>${cells.join('')}</table>\n`
}

const scope = (what, sids) => `${what}: ${!sids?.length || sids.includes('*') ? 'all' : sids.join(', ')}`
const link = (url) => (/^https?:\/\//u.test(url ?? '') ? `<a href="${escaped(url)}">${escaped(url)}</a>` : '')
