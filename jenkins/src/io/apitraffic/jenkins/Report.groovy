package io.apitraffic.jenkins

import groovy.json.JsonOutput

/** Sends one event to ApiTraffic, and writes the result to the build's log. */
class Report implements Serializable {

    private static final long serialVersionUID = 1

    private static final String NOT_CONFIGURED = 'ApiTraffic is not configured: '
    private static final String REFUSED = 'ApiTraffic refused the event: '
    private static final String UNREACHABLE = 'ApiTraffic could not be reached: '
    private static final Map CHECK = [
        400: 'Check the inputs.', 401: 'Check that the credential holds a valid token.',
        403: "Check the token's scopes.", 404: 'Check accountSid, apiUrl and eventSid.', 422: 'Check the inputs.',
    ]

    private final Object script
    private final Map given
    private Map inputs
    private String policy

    Report(Object script, Map given) {
        this.script = script
        this.given = given
    }

    /**
     * `more` are inputs that override the given ones; `known` is the result of an earlier report of the same event, or
     * [isNew: true] for a deployment that is none of the build's earlier ones.
     * Gives a map of `status`, `sid`, `markerKey`, `startedAt`, `previous` (what ran before), `ownKey`: the key that this event
     * has here, if a webhook of the build has not given it another one before. Throws if onError is 'fail', and when interrupted.
     */
    Map send(Map more = [:], Map known = [:]) {
        try {
            return attempt(more, known)
        } catch (Failed failed) {
            script.error(failed.getMessage())
        } catch (InterruptedException interruption) {
            throw interruption
        }
    }

    private Map attempt(Map more, Map known) {
        inputs = Inputs.read(given + more, [
            accountSid: script.env.APITRAFFIC_ACCOUNT_SID, apiUrl: script.env.APITRAFFIC_API_URL,
            receiverUrl: script.env.APITRAFFIC_RECEIVER_URL,
        ])
        policy = inputs.onError ?: 'warn'
        for (String warning in (List<String>) inputs.warnings) {
            say(warning)
        }
        if (inputs.problems) {
            return problem('failed', inputs.problems.join('; '))
        }
        if (script.env.CHANGE_ID && !inputs.allowPullRequests) {
            script.echo('ApiTraffic: nothing is sent for pull requests; to send for them too, set allowPullRequests: true')
            return [status: 'skipped', sid: null, markerKey: null]
        }
        Map place = [
            key: Build.key(script), stage: script.env.STAGE_NAME, now: System.currentTimeMillis(),
            startedAt: script.currentBuild.startTimeInMillis.longValue(),
        ]
        if (inputs.status == null && isDeployment() && !inputs.markerKey) {
            inputs.status = Inputs.OUTCOMES.get(script.currentBuild.currentResult.toLowerCase())
        }
        if (known.startedAt) {
            inputs.startedAt = known.startedAt
        }
        if (known.ownKey) {
            place.deployment = known.ownKey
        } else if (isDeployment() && !inputs.markerKey) {
            place.deployment = Deployments.key(script, (String) place.key, inputs, known.isNew == true)
        }
        Map scm = inputs.scm instanceof Map ? (Map) inputs.scm : [:]
        Map marker = Marker.of(inputs, Build.facts(script, scm), place)
        String wrong = lacking(marker)
        if (wrong) {
            return problem('failed', wrong)
        }
        if (inputs.dryRun) {
            String json = JsonOutput.prettyPrint(JsonOutput.toJson((Map) marker.event))
            script.echo('ApiTraffic: dry run, nothing was sent. The event:\n' + json)
            return [status: 'skipped', sid: null, markerKey: marker.key, startedAt: marker.startedAt]
        }
        return deliver(marker, known) + [ownKey: marker.key]
    }

    private boolean isDeployment() {
        return (inputs.type ?: 'deployment') == 'deployment' && !inputs.eventSid
    }

    private String lacking(Map marker) {
        if (inputs.receiverUrl && inputs.eventSid) {
            return 'ApiTraffic: the input eventSid cannot be used with a receiver, which identifies events by markerKey. ' +
                'Give markerKey instead'
        }
        if (!marker.isPartial && !marker.event.name) {
            return 'ApiTraffic: the input name is empty; say what happened'
        }
        boolean isNothing = marker.isPartial && !marker.event
        return isNothing ? 'ApiTraffic: the input eventSid or markerKey is given, but no input says what to change' : null
    }

    private Map deliver(Map marker, Map known) {
        boolean isByReceiver = inputs.receiverUrl != null
        if (!isByReceiver && !inputs.accountSid) {
            return problem('skipped', NOT_CONFIGURED + 'accountSid is empty; set it, or set APITRAFFIC_ACCOUNT_SID for all jobs')
        }
        String credential = inputs.credentialsId ?: (isByReceiver ? 'apitraffic-receiver-secret' : 'apitraffic-api-token')
        boolean isBound = false
        Map sent = [:]
        try {
            script.withCredentials([script.string(credentialsId: credential, variable: 'APITRAFFIC_SECRET')]) {
                isBound = true
                sent = script.env.APITRAFFIC_SECRET?.trim() ? through(marker, known, isByReceiver) : [isEmpty: true]
            }
        } catch (InterruptedException interruption) {
            throw interruption
        } catch (Exception error) {
            if (isBound) {
                return problem('failed', UNREACHABLE + Text.oneLine(error.getMessage() ?: error, 300))
            }
            return problem('skipped', NOT_CONFIGURED + "there is no credential '" + Text.oneLine(credential, 100) +
                "' of the kind secret text that this job may use; add it, or name another one with credentialsId")
        }
        if (sent.isEmpty) {
            return problem('skipped', NOT_CONFIGURED + "the credential '" + Text.oneLine(credential, 100) +
                "' is empty; enter the secret again")
        }
        return outcome(sent, marker)
    }

    private Map through(Map marker, Map known, boolean isByReceiver) {
        Http http = new Http(script, (inputs.sender ?: 'auto').toString())
        Requests requests = new Requests(script, http, (double) inputs.timeoutSeconds)
        if (isByReceiver) {
            return new Receiver(requests, inputs.receiverUrl.toString()).send(marker, known.status == 'created')
        }
        EventsApi api = new EventsApi(requests, (inputs.apiUrl ?: 'https://api.apitraffic.io/v1').toString(), inputs.accountSid.toString())
        Map about = [previous: known.previous, isAsking: inputs.previous && !marker.isPartial, isNamed: inputs.name != null]
        return api.send(marker + about, (inputs.eventSid ?: known.sid)?.toString())
    }

    private Map outcome(Map sent, Map marker) {
        if (sent.unreachable) {
            return problem('failed', UNREACHABLE + sent.unreachable, marker)
        }
        if (sent.refused) {
            int status = sent.refused.status
            String check = CHECK.get(status) ?: 'Check the address.'
            return problem('failed', REFUSED + status + Requests.words((Map) sent.refused) + '. ' + check, marker)
        }
        if (sent.missing) {
            return problem('failed', 'ApiTraffic: the input markerKey matches no event of the last seven days', marker)
        }
        if (sent.ignored) {
            script.echo('ApiTraffic: the receiver left this event out: ' + sent.ignored)
            return [status: 'skipped', sid: null, markerKey: sent.key, startedAt: marker.startedAt]
        }
        String shown = sent.name ?: marker.event.name ?: sent.sid ?: sent.key
        script.echo('ApiTraffic: ' + sent.status + ' ' + Text.oneLine(shown, 200) + (sent.sid ? ' (' + sent.sid + ')' : ''))
        return [status: sent.status, sid: sent.sid, markerKey: sent.key, startedAt: marker.startedAt, previous: sent.previous]
    }

    private Map problem(String status, String sentence, Map marker = [:]) {
        if (policy == 'fail') {
            throw new Failed(sentence)
        }
        say(sentence)
        return [status: status, sid: null, markerKey: marker.key, startedAt: marker.startedAt]
    }

    private void say(String sentence) {
        script.echo(policy == 'ignore' ? sentence : 'WARNING: ' + sentence)
    }

}
