package io.apitraffic.jenkins

/** A problem that fails the build, because of onError: 'fail'. */
class Failed extends Exception {

    private static final long serialVersionUID = 1

    Failed(String message) {
        super(message)
    }

}
