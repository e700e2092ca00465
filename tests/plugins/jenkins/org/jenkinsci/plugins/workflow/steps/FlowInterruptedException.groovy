package org.jenkinsci.plugins.workflow.steps

/** An abort. Has no words, as in Jenkins; its result and causes are not for sandboxed scripts. */
class FlowInterruptedException extends InterruptedException {
}
