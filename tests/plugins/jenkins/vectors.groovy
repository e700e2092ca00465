// A build of the harness: gives what the library makes of tests/vectors/*.json.
import groovy.json.JsonSlurper
import io.apitraffic.jenkins.Build as Facts
import io.apitraffic.jenkins.Deployments
import io.apitraffic.jenkins.History
import io.apitraffic.jenkins.Marker
import io.apitraffic.jenkins.Previous
import io.apitraffic.jenkins.Requests
import io.apitraffic.jenkins.Text

Map functions = [
    one_line: { Text.oneLine(it.text, it.limit) },
    paragraphs: { Text.paragraphs(it.text) },
    marker_key: { Text.markerKey(it.text) },
    version: { Facts.versionOf(it.tag, it.branch, it.commit) },
    deployment_name: { Marker.deploymentName(it, it.status) },
    outcome: { Marker.outcome(it.status, it.seconds * 1000L, it.actor) },
    duration: { Text.duration(it.seconds * 1000L) },
    longest_pause: { Requests.longestPause(it.failures) / 1000 },
    asked_pause: {
        Map headers = it.headers.collectEntries { name, value -> [name.toLowerCase(), value] }
        Requests.askedPause(headers, it.status == 429, it.now * 1000L) / 1000 ?: null
    },
    previous: {
        Map page = [records: it.listed.values().toList(), hasMore: it.has_more]
        Map previous = History.isAsked(it.own) ? History.among(it.own, page, null) : null
        Map told = Previous.told(it.own, previous, it.is_named)
        [name: told.name, line: told.description ?: ''] + (told.metadata - it.own.metadata)
    },
    jenkins_job_key: {
        Map inputs = [type: it.type, name: 'x', environment: it.environment, metadata: [:]]
        Map script = [env: it.variables]
        String build = Facts.key(script)
        Marker.of(inputs, [:], [key: build, deployment: Deployments.key(script, build, inputs, true), now: 0L, startedAt: 0L]).key
    },
]

/** A long text is written as a list of pieces and how often each is there. */
Object written(Object value) {
    if (value instanceof List) {
        return value.collect { it[0] * it[1] }.join('')
    }
    return value instanceof Map ? value.collectEntries { name, each -> [name, written(each)] } : value
}

Map results = [:]
new File(inputs.folder).listFiles().findAll { it.name.endsWith('.json') }.each { file ->
    Map vectors = new JsonSlurper().parse(file, 'UTF-8')
    vectors.vectors.each { vector ->
        if (functions.containsKey(vector.function)) {
            results.put(file.name + '/' + vector.name, functions[vector.function](written(vector.given)))
        }
    }
}
record([functions: functions.keySet().toList(), results: results])
