package io.apitraffic.jenkins

import com.cloudbees.groovy.cps.NonCPS
import groovy.json.JsonOutput

/** Checks the arguments of the steps. */
class Inputs implements Serializable {

    private static final long serialVersionUID = 1

    static final List TYPES = ['deployment', 'incident', 'config_change', 'scale', 'custom']
    static final List KNOWN = [
        'type', 'name', 'description', 'environment', 'version', 'buckets', 'environments', 'metadata', 'status',
        'startedAt', 'endedAt', 'eventSid', 'markerKey', 'credentialsId', 'accountSid', 'apiUrl', 'receiverUrl',
        'onError', 'timeoutSeconds', 'dryRun', 'previous', 'allowPullRequests', 'sender', 'scm', 'callSite',
    ]
    static final Map OUTCOMES = [
        in_progress: 'in_progress', started: 'in_progress',
        success: 'success', succeeded: 'success', unstable: 'success',
        failure: 'failure', failed: 'failure',
        cancelled: 'cancelled', canceled: 'cancelled', aborted: 'cancelled', not_built: 'cancelled',
    ]
    private static final int METADATA_DEPTH = 4
    private static final int METADATA_SIZE = 16384
    private static final int METADATA_KEYS = 100

    /** Gives a map of names and values of the inputs, with `problems` and `warnings`, lists of sentences. */
    @NonCPS
    static Map read(Map given, Map defaults) {
        List problems = []
        List warnings = []
        Map inputs = [:]
        for (entry in given.entrySet()) {
            String name = entry.getKey().toString()
            if (!KNOWN.contains(name)) {
                warnings.add('ApiTraffic: the input ' + Text.oneLine(name, 100) + ' is unknown and is ignored; check its spelling')
            } else if (!isEmpty(entry.getValue())) {
                inputs.put(name, entry.getValue() instanceof GString ? entry.getValue().toString() : entry.getValue())
            }
        }
        for (entry in defaults.entrySet()) {
            if (!inputs.containsKey(entry.getKey()) && !isEmpty(entry.getValue())) {
                inputs.put(entry.getKey(), entry.getValue())
            }
        }
        choice(inputs, 'type', TYPES, problems)
        choice(inputs, 'onError', ['warn', 'fail', 'ignore'], problems)
        choice(inputs, 'sender', ['auto', 'httpRequest'], problems)
        for (String name in ['startedAt', 'endedAt']) {
            if (inputs.containsKey(name)) {
                Long moment = Text.milliseconds(inputs.get(name))
                if (moment == null) {
                    problems.add(wrong(name, inputs.get(name), 'which is not a time; write it as 2026-01-10T10:05:00Z'))
                }
                inputs.put(name, moment)
            }
        }
        String seconds = (inputs.get('timeoutSeconds') ?: '20').toString()
        boolean isNumber = seconds.matches('\\d{1,4}(\\.\\d{1,3})?') && seconds.toDouble() > 0
        if (!isNumber) {
            problems.add(wrong('timeoutSeconds', seconds, 'which is not a number of seconds above 0'))
        }
        inputs.put('timeoutSeconds', isNumber ? seconds.toDouble() : 20.0d)
        if (inputs.status != null && (inputs.type ?: 'deployment') == 'deployment') {
            String status = OUTCOMES.get(inputs.status.toString().toLowerCase())
            if (status == null) {
                problems.add(wrong('status', inputs.status, 'which is not one of in_progress, success, failure, cancelled'))
            }
            inputs.put('status', status)
        }
        for (String name in ['buckets', 'environments']) {
            inputs.put(name, names(inputs.get(name)))
        }
        for (String name in ['dryRun', 'allowPullRequests']) {
            inputs.put(name, (inputs.get(name) ?: 'false').toString() == 'true')
        }
        inputs.put('previous', !inputs.containsKey('previous') || inputs.get('previous').toString() == 'true')
        Map metadata = metadata(inputs.get('metadata'))
        if (metadata == null) {
            warnings.add('ApiTraffic: the input metadata cannot be read; write a map, a JSON object or lines ' +
                "like 'team: checkout', with at most four levels and 16 KiB. The event is sent without it")
        }
        inputs.put('metadata', metadata ?: [:])
        return inputs + [problems: problems, warnings: warnings]
    }

    @NonCPS
    private static boolean isEmpty(Object value) {
        return value == null || value.toString().trim().isEmpty() || value == [:] || value == []
    }

    @NonCPS
    private static void choice(Map inputs, String name, List allowed, List problems) {
        Object value = inputs.get(name)
        if (value != null && !allowed.contains(value.toString())) {
            problems.add(wrong(name, value, 'which is not one of ' + allowed.join(', ')))
            inputs.remove(name)
        }
    }

    @NonCPS
    private static String wrong(String name, Object value, String why) {
        return 'ApiTraffic: the input ' + name + " is '" + Text.oneLine(value, 100) + "', " + why
    }

    @NonCPS
    private static List names(Object value) {
        List found = []
        Object items = value instanceof Collection ? value : (value ?: '').toString().split('[,\\r\\n]+')
        for (item in items) {
            String name = Text.oneLine(item, Text.VALUE_LIMIT)
            if (!name.isEmpty()) {
                found.add(name)
            }
        }
        return found
    }

    /** Null if it cannot be read or is over the limits. */
    @NonCPS
    private static Map metadata(Object given) {
        Object value = given ?: [:]
        if (!(value instanceof Map)) {
            String text = value.toString().trim()
            value = text.startsWith('{') ? Text.fromJson(text) : fromLines(text)
        }
        Object tidied = value instanceof Map ? tidy(value, 0) : null
        boolean isWithinLimits = tidied instanceof Map && ((Map) tidied).size() <= METADATA_KEYS &&
            !((Map) tidied).containsValue(null) && JsonOutput.toJson((Map) tidied).length() <= METADATA_SIZE
        return isWithinLimits ? (Map) tidied : null
    }

    @NonCPS
    private static Map fromLines(String text) {
        Map found = [:]
        for (String line in text.split('\\r?\\n')) {
            String[] pair = line.split(':', 2)
            if (!line.trim().isEmpty()) {
                if (pair.length < 2 || pair[0].trim().isEmpty()) {
                    return null
                }
                found.put(pair[0].trim(), pair[1].trim())
            }
        }
        return found
    }

    /** Null if it is nested too deep. */
    @NonCPS
    private static Object tidy(Object value, int depth) {
        if (depth > METADATA_DEPTH) {
            return null
        }
        if (value instanceof Map) {
            Map kept = [:]
            for (entry in ((Map) value).entrySet()) {
                if (!isEmpty(entry.getValue())) {
                    kept.put(Text.oneLine(entry.getKey(), Text.VALUE_LIMIT), tidy(entry.getValue(), depth + 1))
                }
            }
            return kept.containsValue(null) ? null : kept
        }
        if (value instanceof Collection) {
            List kept = []
            for (item in (Collection) value) {
                kept.add(tidy(item == null ? '' : item, depth + 1))
            }
            return kept.contains(null) ? null : kept
        }
        boolean isScalar = value instanceof Boolean ||
            value instanceof Number && !['NaN', 'Infinity', '-Infinity'].contains(value.toString())
        if (isScalar) {
            return value
        }
        return value instanceof Date ? Text.timestamp(((Date) value).getTime()) : Text.oneLine(value, Text.VALUE_LIMIT)
    }

}
