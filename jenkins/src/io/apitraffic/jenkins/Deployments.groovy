package io.apitraffic.jenkins

import com.cloudbees.groovy.cps.NonCPS

/**
 * The keys of the deployments of one build. No two calls of withApitrafficDeployment have the same.
 *
 * The keys given so far are remembered in a variable of the build's environment, which Jenkins saves with the build:
 * fields and bindings of a library are lost if the controller restarts. Between reading and writing the variable there is
 * no step, so no parallel branch comes in between.
 */
class Deployments implements Serializable {

    private static final long serialVersionUID = 1

    /** That one of the build's deployments has an environment in its key and no number. */
    private static final String WITH_ENVIRONMENT = '*'

    /**
     * The key of a new deployment, or of the latest one that has the same `environment` and `callSite`.
     * `build` is the key of the build. The first of an environment is called as in the receiver's webhooks.
     */
    static String key(Object script, String build, Map inputs, boolean isNew) {
        String known = (script.env.APITRAFFIC_DEPLOYMENTS ?: '').toString()
        String environment = inputs.environment ? Text.collapsed(inputs.environment.toString()) : ''
        String callSite = inputs.callSite ? Text.collapsed(inputs.callSite.toString()) : ''
        Map chosen = choose(known, [build: build, environment: environment, callSite: callSite], isNew)
        if (chosen.known != known) {
            script.env.APITRAFFIC_DEPLOYMENTS = chosen.known
        }
        return chosen.key
    }

    /** `jenkins:<build URL>:production`, and the second one is `jenkins:<build URL>#2:production`. */
    @NonCPS
    static String keyOf(Map deployment, int number) {
        String own = (deployment.callSite ? '#' + deployment.callSite : '') + (number == 1 ? '' : '#' + number)
        return deployment.build + own + (deployment.environment ? ':' + deployment.environment : '')
    }

    @NonCPS
    private static Map choose(String known, Map deployment, boolean isNew) {
        List<String> given = []
        for (String each in known.split(' ')) {
            given.add(each)
        }
        int number = isOfBuild(deployment) && isTaken(given, deployment) ? 2 : 1
        while (given.contains(digest(keyOf(deployment, number))) && (isNew || given.contains(digest(keyOf(deployment, number + 1))))) {
            number += 1
        }
        String key = keyOf(deployment, number)
        if (!given.contains(digest(key))) {
            given.add(digest(key))
        }
        if (number == 1 && isOfBuild(deployment) && deployment.environment && !given.contains(WITH_ENVIRONMENT)) {
            given.add(WITH_ENVIRONMENT)
        }
        return [key: key, known: given.join(' ').trim()]
    }

    @NonCPS
    private static boolean isOfBuild(Map deployment) {
        return !deployment.callSite
    }

    /**
     * The webhook of a build speaks of the deployment that is called as the build, and of the one that is called as the
     * build and its environment. So that this is one deployment, a build has only the one or the other.
     */
    @NonCPS
    private static boolean isTaken(List<String> given, Map deployment) {
        return given.contains(deployment.environment ? digest((String) deployment.build) : WITH_ENVIRONMENT)
    }

    @NonCPS
    private static String digest(String key) {
        return key.hashCode().toString()
    }

}
