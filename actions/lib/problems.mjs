// The problems that users see, with their messages (docs/ci-plugins.md).

export class Problem extends Error {
  status = 'failed'
}

export class InputProblem extends Problem {
  constructor(name, what) {
    super(`ApiTraffic: the input ${name} ${what}`)
  }
}

export class NotConfigured extends Problem {
  status = 'skipped'

  constructor(what) {
    super(`ApiTraffic is not configured: ${what}`)
  }
}

export class Refused extends Problem {
  constructor(status, words, hint) {
    super(`ApiTraffic refused the event: ${status} ${words ? `${words} ` : ''}${hint}`.trim())
    this.httpStatus = status
  }
}

export class Unreachable extends Problem {
  constructor(problem, tries, seconds) {
    const often = tries === 1 ? 'tried once' : `tried ${tries} times`
    super(`ApiTraffic could not be reached: ${problem} (${often} in ${seconds.toFixed(1)} s). If this persists, check the address and the network of this runner.`)
  }
}

/** Not an error: a route in the receiver's configuration skips this event. */
export class Ignored extends Problem {
  status = 'skipped'
}
