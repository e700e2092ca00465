package hudson

/** The failure of a step of which Jenkins shows only the message. */
class AbortException extends IOException {

    AbortException(String message) {
        super(message)
    }

}
