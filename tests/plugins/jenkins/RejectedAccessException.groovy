class RejectedAccessException extends SecurityException {

    RejectedAccessException(String what) {
        super('Scripts not permitted to use ' + what)
    }

}
