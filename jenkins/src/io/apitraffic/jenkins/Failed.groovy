package io.apitraffic.jenkins

/** What onError: 'fail' makes of a problem. */
class Failed extends Exception {

    private static final long serialVersionUID = 1

    Failed(String message) {
        super(message)
    }

}
