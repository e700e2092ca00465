package io.apitraffic.jenkins

import com.cloudbees.groovy.cps.NonCPS

/** One event in the fields of the Events API, and how an existing one is recognised. */
class Marker implements Serializable {

    private static final long serialVersionUID = 1

    private static final Map WORDS = [
        success: ['Deploy', 'Succeeded'], failure: ['Failed deploy', 'Failed'], cancelled: ['Cancelled deploy', 'Cancelled'],
    ]

    /**
     * Gives [key, build, effect, isPartial, event, startedAt]. If `isPartial`, the event has only the fields to change.
     * `build` is the key of the build if its webhook speaks of this deployment, else null.
     * `place` is [key: of the build, deployment: its key, stage, startedAt: of the build in ms, now: in ms].
     */
    @NonCPS
    static Map of(Map inputs, Map facts, Map place) {
        boolean isPartial = inputs.eventSid || inputs.markerKey && !inputs.name && !inputs.type
        String type = inputs.type ?: (isPartial ? null : 'deployment')
        boolean isDeployment = type == 'deployment' && !isPartial
        String status = inputs.status
        String effect
        Long startedAt = inputs.startedAt
        Long endedAt = inputs.endedAt
        if (isDeployment) {
            effect = status == 'in_progress' ? 'open' : 'close'
            startedAt = startedAt ?: (effect == 'open' ? place.now : place.startedAt)
            endedAt = effect == 'open' ? null : (endedAt ?: place.now)
        } else if (isPartial) {
            if (endedAt == null && ['success', 'failure', 'cancelled'].contains(status)) {
                endedAt = place.now
            }
            effect = endedAt == null ? 'update' : 'close'
        } else {
            effect = endedAt != null ? 'close' : (type == 'incident' ? 'open' : 'point')
            startedAt = startedAt ?: (endedAt ?: place.now)
        }
        if (endedAt != null && startedAt != null && endedAt < startedAt) {
            endedAt = startedAt
        }
        String key = Text.markerKey((inputs.markerKey ?: keyOf(inputs, place, isDeployment, type)).toString())
        boolean isOfBuild = isDeployment && key == ofBuild(inputs, place)
        String version = oneLine(inputs.version) ?: (isDeployment ? facts.version : '')
        Map metadata = (isPartial ? [:] : facts + [version: version]) +
            [environment: oneLine(inputs.environment), status: oneLine(status)] + (Map) inputs.metadata
        String name = inputs.name ? Text.oneLine(inputs.name, Text.NAME_LIMIT) : (isDeployment ? deploymentName(metadata, status) : '')
        String description = inputs.description ? inputs.description.toString() : ''
        if (isDeployment && effect == 'close') {
            description = outcome(status, endedAt - startedAt, facts.actor) + '\n' + description
        }
        Map event = [
            type: type, name: name, description: Text.paragraphs(description),
            source: isPartial ? '' : 'jenkins',
            startedAt: startedAt == null ? '' : Text.timestamp(startedAt), endedAt: endedAt == null ? '' : Text.timestamp(endedAt),
            buckets: inputs.buckets, environments: inputs.environments,
            metadata: withoutEmpty(metadata),
        ]
        if (!isPartial) {
            ((Map) event.metadata).put('marker_key', key)
        }
        String build = isOfBuild ? place.key : null
        return [key: key, build: build, effect: effect, isPartial: isPartial, event: withoutEmpty(event), startedAt: startedAt]
    }

    @NonCPS
    private static String keyOf(Map inputs, Map place, boolean isDeployment, String type) {
        if (isDeployment) {
            return place.deployment
        }
        String site = inputs.callSite ?: [place.stage, type, inputs.name].findAll { it }.join('/')
        return place.key + ':event:' + site
    }

    /** The key by which the webhook of the build knows a deployment to this environment. */
    @NonCPS
    private static String ofBuild(Map inputs, Map place) {
        String environment = inputs.environment ? Text.collapsed(inputs.environment.toString()) : ''
        return Text.markerKey(Deployments.keyOf([build: place.key, environment: environment], 1))
    }

    /** `Deploy acme/shop v2.3.1 to production`, or `Failed deploy ...`. */
    @NonCPS
    static String deploymentName(Map metadata, String status) {
        List words = [(WORDS.get(status) ?: WORDS.success)[0], metadata.repository ?: metadata.job, metadata.version]
        if (metadata.environment) {
            words.add('to ' + metadata.environment)
        }
        return Text.oneLine(words.findAll { it }.join(' '), Text.NAME_LIMIT)
    }

    /** `Succeeded after 2 min 3 s by alice.` */
    @NonCPS
    static String outcome(String status, long taken, Object actor) {
        return (WORDS.get(status) ?: WORDS.success)[1] + ' after ' + Text.duration(taken) + (actor ? ' by ' + actor : '') + '.'
    }

    @NonCPS
    private static String oneLine(Object value) {
        return value == null ? '' : Text.oneLine(value, Text.VALUE_LIMIT)
    }

    @NonCPS
    private static Map withoutEmpty(Map values) {
        Map kept = [:]
        for (entry in values.entrySet()) {
            Object value = entry.getValue()
            if (value != null && value != '' && value != [] && value != [:]) {
                kept.put(entry.getKey(), value)
            }
        }
        return kept
    }

    /** The fields to update in an existing event. Its own metadata, earlier start and end are kept. */
    @NonCPS
    static Map changes(Map there, Map event) {
        Map known = there.metadata instanceof Map ? (Map) there.metadata : [:]
        Map metadata = known + (Map) (event.metadata ?: [:])
        if (known.marker_key) {
            metadata.put('marker_key', known.marker_key)
        }
        Map fields = [:]
        fields.putAll(event)
        if (there.endedAt && !event.endedAt || known.status && ((Map) (event.metadata ?: [:])).status == 'in_progress') {
            // A webhook has already reported the end.
            fields.remove('name')
            if (known.status) {
                metadata.put('status', known.status)
            }
        }
        if (there.startedAt && event.startedAt && there.startedAt.toString() < event.startedAt.toString()) {
            fields.remove('startedAt')
        }
        fields.remove('source')
        fields.remove('type')
        if (!metadata.isEmpty() && event.metadata) {
            fields.put('metadata', metadata)
        }
        return fields
    }

    /** Whether this `record` of the API is the marker: it has its key, or the webhook of the build has made it. */
    @NonCPS
    static boolean isSame(Map record, Map marker) {
        if (!(record.metadata instanceof Map)) {
            return false
        }
        Map known = (Map) record.metadata
        if (known.marker_key == marker.key) {
            return true
        }
        Map ours = (Map) (marker.event.metadata ?: [:])
        boolean isOfBuild = marker.build && record.type == 'deployment' && Text.isKey(known.marker_key, (String) marker.build)
        boolean isRun = Text.withoutEndSlash(known.run_url) == Text.withoutEndSlash(ours.run_url)
        return isOfBuild && isRun && known.environment == ours.environment
    }

}
