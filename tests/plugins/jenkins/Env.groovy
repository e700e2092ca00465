/** env: what is in force where it is read, as in Jenkins; what is empty is null. */
class Env implements Whitelisted {

    private final Build build

    Env(Build build) {
        this.build = build
    }

    @Override
    Object getProperty(String name) {
        return build.environment()[name]
    }

    @Override
    void setProperty(String name, Object value) {
        build.base[name] = value.toString()
    }

}
