// How a deployment ended, by the status of its job. No I/O in here.

export const UNKNOWN = 'unknown'

/** The deployment step that began next in the same job, if there is one. The steps of a job run one after the other, so
 * the deployment before it had ended by then. */
export function nextOf(steps, { number, base, isGiven }) {
  const isAnother = (step) => step.isDeployment && !(isGiven && step.isGiven && step.base === base)
  return steps.find((step) => step.number > number && isAnother(step))
}

/** The outcome: the one that was `given`; otherwise the status of the job when the next deployment began, or at its end.
 * If the job had failed before this deployment began, as for a rollback, its status says nothing of it. */
export function outcomeOf({ given, jobStatusBefore, next, jobStatus }) {
  const after = next?.jobStatus ?? jobStatus
  if (given) return given
  return jobStatusBefore !== 'success' && jobStatusBefore === after ? UNKNOWN : after
}
