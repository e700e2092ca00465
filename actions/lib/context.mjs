// What the runner knows of this run. https://docs.github.com/en/actions/reference/workflows-and-actions/variables

import { readFileSync } from 'node:fs'

import { input } from './inputs.mjs'
import { instanceOf } from './job.mjs'
import { firstLine } from './text.mjs'

const PUBLIC_HOST = 'github.com'
const ID = /^\d{1,20}$/u

/** The webhook payload that triggered the run; empty if there is none or it cannot be read. */
export function readPayload(env) {
  try {
    return JSON.parse(readFileSync(env.GITHUB_EVENT_PATH, 'utf8')) ?? {}
  } catch {
    return {}
  }
}

/** The run's facts by their names in an event's metadata, and what is no metadata: `isFork`, `host` and the job's
 * `instance`. Unknown facts are undefined. */
export function readContext(env, payload) {
  const repository = env.GITHUB_REPOSITORY
  const repositoryUrl = repository && `${env.GITHUB_SERVER_URL ?? 'https://github.com'}/${repository}`
  const attempt = env.GITHUB_RUN_ATTEMPT || '1'
  const page = repositoryUrl && env.GITHUB_RUN_ID && `${repositoryUrl}/actions/runs/${env.GITHUB_RUN_ID}`
  const runUrl = page && attempt !== '1' ? `${page}/attempts/${attempt}` : page
  const { ref, commit, message } = commitOf(env, payload)
  const head = payload.pull_request?.head?.repo?.full_name
  return {
    repository,
    repository_url: repositoryUrl,
    environment: textOf(payload.deployment?.environment),
    ref,
    commit,
    short_commit: commit?.slice(0, 7),
    commit_message: message && firstLine(message),
    actor: env.GITHUB_TRIGGERING_ACTOR || env.GITHUB_ACTOR,
    url: runUrl,
    workflow: env.GITHUB_WORKFLOW,
    job: env.GITHUB_JOB,
    check_run_id: checkRunOf(env),
    run_id: env.GITHUB_RUN_ID,
    run_attempt: attempt,
    run_number: env.GITHUB_RUN_NUMBER,
    run_url: runUrl,
    pull_request: pullRequestOf(payload),
    isFork: Boolean(head && repository && head !== repository),
    host: hostOf(env.GITHUB_SERVER_URL),
    instance: instanceOf(env),
  }
}

/** The job's id, by the default of the input: no variable has it. Runners of GitHub Enterprise Server and older ones
 * do not know it. */
function checkRunOf(env) {
  const id = input(env, 'check-run-id')
  return ID.test(id) ? id : undefined
}

/** The host of a URL in lower case; empty for github.com, which is left out of keys, and if there is none. */
export function hostOf(url) {
  const host = URL.canParse(url ?? '') ? new URL(url).host : ''
  return host === PUBLIC_HOST ? '' : host
}

/** The commit that the run is about. For a pull request, `GITHUB_SHA` is a merge commit made for testing; for
 * `workflow_run`, it is the latest commit of the default branch. */
function commitOf(env, payload) {
  const { pull_request: pull, workflow_run: run, head_commit: head } = payload
  if (pull?.head?.sha) return { ref: branch(pull.head.ref), commit: textOf(pull.head.sha) }
  if (run?.head_sha) {
    return { ref: branch(run.head_branch), commit: textOf(run.head_sha), message: textOf(run.head_commit?.message) }
  }
  const ref = env.GITHUB_REF || textOf(payload.deployment?.ref)
  return { ref, commit: env.GITHUB_SHA || undefined, message: textOf(head?.message) }
}

function pullRequestOf(payload) {
  const number = payload.pull_request?.number ?? payload.workflow_run?.pull_requests?.[0]?.number
  return Number.isInteger(number) ? number : undefined
}

const textOf = (value) => (typeof value === 'string' && value ? value : undefined)
const branch = (name) => textOf(name) && `refs/heads/${name}`
