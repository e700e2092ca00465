package io.apitraffic.jenkins

/** Sends through the receiver, which finds or creates the event by its key. Gives the same as EventsApi. */
class Receiver implements Serializable {

    private static final long serialVersionUID = 1

    private final Requests requests
    private final String address

    Receiver(Requests requests, String receiverUrl) {
        String url = Text.withoutEndSlash(receiverUrl)
        this.requests = requests
        this.address = url.endsWith('/webhooks/events') ? url : url + '/webhooks/events'
    }

    Map send(Map marker, boolean isKnown) {
        Map answer = requests.repeated([
            method: 'POST', address: address, delivery: 'jenkins-' + UUID.randomUUID(),
            body: marker.event + [key: marker.key, effect: marker.effect],
        ])
        if (!answer.isFine) {
            return requests.failure(answer)
        }
        if (answer.data instanceof Map && answer.data.status == 'ignored') {
            return [ignored: Text.oneLine(answer.data.reason ?: 'a route in its configuration says so', 300), key: marker.key]
        }
        Object keys = answer.data instanceof Map ? answer.data.keys : null
        String key = keys instanceof List && keys ? keys[0] : marker.key // the receiver shortens a long one
        return [status: isKnown || marker.isPartial ? 'updated' : 'created', sid: null, key: key, metadata: [:]]
    }

}
