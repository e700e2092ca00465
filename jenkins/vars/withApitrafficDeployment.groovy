import io.apitraffic.jenkins.Report
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/** A deployment that begins and ends with the body, whatever its outcome. Returns the result of the body. */
Object call(Map inputs = [:], Closure body) {
    Map given = inputs + [type: 'deployment']
    Map event = new Report(this, given).send([status: 'in_progress', endedAt: null], [isNew: true])
    if (!(event.status in ['created', 'updated', 'failed'])) {
        return within(event, body)
    }
    Object value = null
    try {
        value = within(event, body)
    } catch (FlowInterruptedException interruption) {
        closeQuietly(given, event, 'cancelled')
        throw interruption
    } catch (Throwable failure) {
        closeQuietly(given, event, 'failure')
        throw failure
    }
    new Report(this, given).send([status: 'success'], event)
    return value
}

private Object within(Map event, Closure body) {
    Object value = null
    withEnv(['APITRAFFIC_EVENT_SID=' + (event.sid ?: ''), 'APITRAFFIC_MARKER_KEY=' + (event.markerKey ?: '')]) {
        value = body(event)
    }
    return value
}

/** Never throws because of a problem, which would hide the error of the deploy. */
private void closeQuietly(Map given, Map event, String status) {
    String policy = given.onError == 'ignore' ? 'ignore' : 'warn'
    new Report(this, given).send([status: status, onError: policy], event)
}
