// What the steps of one job know of each other. Their record is in RUNNER_TEMP, which the runner empties for every job.

import { createHash, randomUUID } from 'node:crypto'
import { constants, copyFileSync, existsSync, linkSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'

// The job, its process on the runner, its container or its machine: together they are different for any two jobs.
const FACTS = ['GITHUB_RUN_ID', 'GITHUB_RUN_ATTEMPT', 'GITHUB_JOB', 'RUNNER_NAME', 'RUNNER_TRACKING_ID', 'RUNNER_TEMP']
const MOST_STEPS = 10_000

/** Tells this job from the others of its run if GitHub gives it no id: 16 hex digits, the same in all its steps.
 * Empty outside of a runner. `apitraffic-events events create --from-ci` computes the same (receiver/config/ci/github.py). */
export function instanceOf(env, host = hostname()) {
  if (!env.RUNNER_TEMP) return ''
  const facts = [...FACTS.map((name) => env[name] ?? ''), host].join('\n')
  return createHash('sha256').update(facts).digest('hex').slice(0, 16)
}

/** The steps of this job that have reported something, in the order in which they began. */
export class JobRecord {
  constructor(env) {
    const instance = instanceOf(env)
    this.folder = instance && join(env.RUNNER_TEMP, `apitraffic-${instance}`)
  }

  /** Adds what `describe` makes of the steps before, and gives it with its number. Two steps at the same time get
   * different numbers. Null if nothing can be recorded. */
  add(describe) {
    if (!this.folder) return null
    const draft = join(this.folder, `draft-${randomUUID()}`)
    try {
      mkdirSync(this.folder, { recursive: true })
      for (let number = this.steps().length + 1; number <= MOST_STEPS; number += 1) {
        const step = describe(this.steps())
        writeFileSync(draft, JSON.stringify(step))
        if (placed(draft, join(this.folder, String(number)))) return { ...step, number }
      }
    } catch {
      // A step that cannot be recorded is reported as if it were the only one.
    } finally {
      remove(draft)
    }
    return null
  }

  steps() {
    return this.#numbers().map((number) => ({ ...this.#read(number), number }))
  }

  #numbers() {
    try {
      return readdirSync(this.folder).filter((name) => /^\d+$/u.test(name)).map(Number).sort((a, b) => a - b)
    } catch {
      return []
    }
  }

  #read(number) {
    try {
      return JSON.parse(readFileSync(join(this.folder, String(number)), 'utf8'))
    } catch {
      return {}
    }
  }
}

function remove(file) {
  try {
    rmSync(file, { force: true })
  } catch {
    // It stays until the runner empties its folder.
  }
}

/** Whether the file did not exist. It appears with all its content, except on a disk without hard links. */
function placed(draft, file) {
  try {
    linkSync(draft, file)
  } catch (error) {
    if (error.code === 'EEXIST' || existsSync(file)) return false
    copyFileSync(draft, file, constants.COPYFILE_EXCL)
  }
  return true
}
