package io.apitraffic.jenkins

import com.cloudbees.groovy.cps.NonCPS

/** One event in the Events API's fields, and how it is found again. */
class Marker implements Serializable {

    private static final long serialVersionUID = 1

    private static final Map WORDS = [
        success: ['Deploy', 'Succeeded'], failure: ['Failed deploy', 'Failed'], cancelled: ['Cancelled deploy', 'Cancelled'],
    ]

    /**
     * Gives [key, effect, isPartial, event]. `isPartial`: the event has only what is to be changed.
     * `place` is [key: of the build, stage, startedAt: of the build in ms, now: ms].
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
        return [key: key, effect: effect, isPartial: isPartial, event: withoutEmpty(event), startedAt: startedAt]
    }

    @NonCPS
    private static String keyOf(Map inputs, Map place, boolean isDeployment, String type) {
        if (isDeployment) {
            return place.key + (inputs.environment ? ':' + oneLine(inputs.environment) : '')
        }
        String site = inputs.callSite ?: [place.stage, type, inputs.name].findAll { it }.join('/')
        return place.key + ':event:' + site
    }

    /** `Deploy acme/shop v2.3.1 to production`, or `Failed deploy …`. */
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

    /** What makes an event that is there show this: its own metadata stays, its start too, and so does its end. */
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
            // A webhook that reported the end was first.
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

    /** Whether the API's `record` is this marker. */
    @NonCPS
    static boolean isSame(Map record, String key, Map event) {
        if (!(record.metadata instanceof Map)) {
            return false
        }
        Map known = (Map) record.metadata
        Map ours = (Map) (event.metadata ?: [:])
        if (known.marker_key == key) {
            return true
        }
        boolean isDeployment = record.type == 'deployment' && event.type == 'deployment'
        boolean isRun = ours.run_url && trimmed(known.run_url) == trimmed(ours.run_url)
        boolean isRepository = !known.repository || !ours.repository || known.repository == ours.repository
        return isDeployment && isRun && isRepository && known.environment == ours.environment
    }

    @NonCPS
    private static String trimmed(Object url) {
        return (url ?: '').toString().replaceAll('/+$', '')
    }

}
