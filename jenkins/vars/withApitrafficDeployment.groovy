import io.apitraffic.jenkins.Report
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/** A deployment that begins and ends with its body, whatever comes of it. Gives what the body gives. */
Object call(Map inputs = [:], Closure body) {
    Map given = inputs + [type: 'deployment']
    Map event = new Report(this, given).send([status: 'in_progress', endedAt: null])
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

/** What went wrong with the deploy must not be hidden by what goes wrong with its marker. */
private void closeQuietly(Map given, Map event, String status) {
    String policy = given.onError == 'ignore' ? 'ignore' : 'warn'
    new Report(this, given).send([status: status, onError: policy], event)
}
