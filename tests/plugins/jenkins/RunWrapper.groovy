/** currentBuild, as far as the library reads it. */
class RunWrapper implements Whitelisted {

    static final List RESULTS = ['SUCCESS', 'UNSTABLE', 'FAILURE', 'NOT_BUILT', 'ABORTED']

    String result
    long startTimeInMillis
    List changeSets
    List causes

    String getCurrentResult() {
        return result ?: 'SUCCESS'
    }

    List getBuildCauses() {
        return causes
    }

    /** Blacklisted in Jenkins. */
    Object getRawBuild() {
        throw new RejectedAccessException('org.jenkinsci.plugins.workflow.support.steps.build.RunWrapper getRawBuild')
    }

    void worsen(String other) {
        if (RESULTS.indexOf(other) > RESULTS.indexOf(currentResult)) {
            result = other
        }
    }

}
