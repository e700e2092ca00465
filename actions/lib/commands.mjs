// Workflow commands: how an action talks to the runner.
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands

import { randomUUID } from 'node:crypto'
import { appendFileSync } from 'node:fs'

// The runner obeys `::command` at the beginning of a line, and the older `##[command]` anywhere in it.
const harmless = (text) => String(text).replaceAll('##[', '#\u200b#[').replace(/^(\s*)::/gmu, '$1\u200b::')
const escaped = (text) => String(text).replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
const write = (line) => process.stdout.write(`${line}\n`)

export const say = (text) => write(harmless(text))
export const warn = (text) => write(`::warning title=ApiTraffic::${escaped(harmless(text))}`)
export const fail = (text) => write(`::error title=ApiTraffic::${escaped(harmless(text))}`)
export const endGroup = () => write('::endgroup::')
export const beginGroup = (title) => write(`::group::${escaped(harmless(title))}`)

/** Masks a secret in the log, line by line, because the runner searches the log by lines. */
export function mask(secret) {
  for (const line of secret.split(/[\r\n]+/u)) if (line.trim()) write(`::add-mask::${escaped(line.trim())}`)
}

/** Prints an object as JSON that contains no workflow command. */
export const sayJson = (value) => write(JSON.stringify(value, null, 2).replaceAll('##[', '#\\u0023['))

export function setOutputs(outputs, env) {
  for (const [name, value] of Object.entries(outputs)) appendPair(env.GITHUB_OUTPUT, name, value)
}

/** Saves a value for the post step, which gets it as `STATE_<name>`. */
export const saveState = (name, value, env) => appendPair(env.GITHUB_STATE, name, JSON.stringify(value))

export function addSummary(markdown, env) {
  if (env.GITHUB_STEP_SUMMARY) appendFileSync(env.GITHUB_STEP_SUMMARY, `${markdown}\n`)
}

function appendPair(file, name, value) {
  const delimiter = `apitraffic-${randomUUID()}`
  if (file) appendFileSync(file, `${name}<<${delimiter}\n${value}\n${delimiter}\n`)
}
