// Runs one step, from its inputs to the log, outputs, summary and exit code.

import * as commands from './commands.mjs'
import { readContext, readPayload } from './context.mjs'
import { input, policyOf, readInputs } from './inputs.mjs'
import { Ignored, Problem } from './problems.mjs'
import { summaryOf } from './summary.mjs'

/** Runs `step(inputs, context, outcome)`, which gives `{status, event, sid}` and may write to `outcome` what it
 * is about to send. Never throws, and fails the job only if `on-error` says so. */
export async function run(step, { env = process.env, hasOutputs = true, hasSummary = true } = {}) {
  for (const name of ['api-token', 'receiver-secret']) commands.mask(input(env, name))
  const outcome = { status: 'failed', event: null, sid: '', key: '' }
  commands.beginGroup('ApiTraffic')
  let problem = null
  try {
    const inputs = readInputs(env, Date.now())
    const context = readContext(env, readPayload(env))
    Object.assign(outcome, await step(inputs, context, outcome))
    if (outcome.event) commands.sayJson(outcome.event)
    for (const warning of inputs.warnings) commands.warn(`ApiTraffic: ${warning}`)
  } catch (error) {
    problem = error instanceof Problem ? error : new Problem(`ApiTraffic: unexpected error: ${error.message}. Please report it.`)
    outcome.status = problem.status
  }
  commands.endGroup()
  if (problem) report(problem, policyOf(env))
  else if (outcome.note) commands.say(outcome.note)
  else if (outcome.event) commands.say(`${outcome.status}: ${outcome.event.name ?? outcome.sid} ${outcome.sid}`.trim())
  if (hasOutputs) {
    const { sid, status, event, key } = outcome
    commands.setOutputs({ 'event-sid': sid, status, event: event ? JSON.stringify(event) : '', 'marker-key': key }, env)
  }
  if (hasSummary && outcome.event) commands.addSummary(summaryOf(outcome, problem), env)
  return outcome
}

function report(problem, policy) {
  if (problem instanceof Ignored || policy === 'ignore') commands.say(problem.message)
  else if (policy === 'warn') commands.warn(problem.message)
  else {
    commands.fail(problem.message)
    process.exitCode = 1
  }
}
