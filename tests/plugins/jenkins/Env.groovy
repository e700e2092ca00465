/** env, as in Jenkins: the variables of the place that reads it; empty ones are null. */
class Env implements Whitelisted {

    private final Build build

    Env(Build build) {
        this.build = build
    }

    @Override
    Object getProperty(String name) {
        return build.environment()[name]
    }

    /** Jenkins permits to get and set variables by their names, and no more. */
    Map getEnvironment() {
        throw new RejectedAccessException('org.jenkinsci.plugins.workflow.cps.EnvActionImpl getEnvironment')
    }

    @Override
    void setProperty(String name, Object value) {
        build.base[name] = value.toString()
    }

}
