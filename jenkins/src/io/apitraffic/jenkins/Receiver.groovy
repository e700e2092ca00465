package io.apitraffic.jenkins

/** By way of the receiver, which finds or makes the event by its key. Gives what EventsApi gives. */
class Receiver implements Serializable {

    private static final long serialVersionUID = 1

    private final Requests requests
    private final String address

    Receiver(Requests requests, String receiverUrl) {
        String url = receiverUrl.replaceAll('/+$', '')
        this.requests = requests
        this.address = url.endsWith('/webhooks/events') ? url : url + '/webhooks/events'
    }

    Map send(Map marker, boolean isKnown) {
        Map answer = requests.repeated([
            method: 'POST', address: address, delivery: 'jenkins-' + UUID.randomUUID(),
            body: marker.event + [key: marker.key, effect: marker.effect],
        ])
        if (!answer.isFine) {
            return answer.isAgain ? [unreachable: requests.unreachable()] : [refused: answer]
        }
        if (answer.data instanceof Map && answer.data.status == 'ignored') {
            return [ignored: Text.oneLine(answer.data.reason ?: 'by a route', 300), key: marker.key]
        }
        return [status: isKnown || marker.isPartial ? 'updated' : 'created', sid: null, key: marker.key, metadata: [:]]
    }

}
