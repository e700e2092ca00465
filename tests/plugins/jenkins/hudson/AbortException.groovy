package hudson

/** What a step fails with where only its words are to be shown. */
class AbortException extends IOException {

    AbortException(String message) {
        super(message)
    }

}
