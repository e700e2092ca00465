package org.jenkinsci.plugins.workflow.steps

class MissingContextVariableException extends Exception {

    MissingContextVariableException(String message) {
        super(message)
    }

}
