package io.apitraffic.jenkins

import com.cloudbees.groovy.cps.NonCPS

/**
 * The client of the Events API. Gives [status, sid, key, metadata, previous, name], [refused: answer] or [unreachable: words].
 */
class EventsApi implements Serializable {

    private static final long serialVersionUID = 1

    private static final long HOUR = 3600000
    private static final long WEEK = 168 * HOUR
    private static final int MOST_PAGES = 20

    private final Requests requests
    private final String address

    EventsApi(Requests requests, String apiUrl, String accountSid) {
        this.requests = requests
        this.address = Text.withoutEndSlash(apiUrl) + '/accounts/' + URLEncoder.encode(accountSid, 'UTF-8') + '/events'
    }

    /** `marker.previous` is what ran before, if that is known; if `marker.isAsking`, the API is asked for it. */
    Map send(Map marker, String sid) {
        if (sid) {
            Map known = told(marker, (Map) marker.previous, null)
            return updateBySid(known, sid) + [previous: marker.previous, name: known.event.name]
        }
        Map looked = look(marker, 0.5d)
        if (looked.record) {
            Map there = (Map) looked.record
            Map previous = before(marker, there.sid)
            Map theirs = previous == null ? there : Previous.without(there)
            Map found = told(marker, previous, theirs.description)
            return update(theirs, found) + [previous: previous, name: found.event.name]
        }
        if (looked.isOver) {
            return [unreachable: requests.unreachable()]
        }
        if (marker.isPartial) {
            return looked.answer ? requests.failure((Map) looked.answer) : [missing: true]
        }
        Map previous = before(marker, null)
        Map created = told(marker, previous, null)
        return create(created) + [previous: previous, name: created.event.name]
    }

    /** What ran before, null if that is not certain. One request, which is not repeated. */
    private Map before(Map marker, Object sid) {
        Map event = (Map) marker.event
        if (!marker.isAsking || !History.isAsked(event)) {
            return null
        }
        String window = '?type=deployment&endDate=' + (event.endedAt ?: event.startedAt) + '&limit=100&page=1'
        Map answer = requests.asked(method: 'GET', address: address + window)
        try {
            return answer.isFine ? History.among(event, record(answer), sid) : null
        } catch (ClassCastException ignored) { // an answer that is so odd that it cannot be read
            return null
        }
    }

    /** An event that a webhook has made keeps its description, `theirs`. */
    @NonCPS
    private static Map told(Map marker, Map previous, Object theirs) {
        Map event = (Map) marker.event
        if (previous == null) {
            return marker
        }
        Map described = event + [description: event.description ?: theirs ?: '']
        return marker + [event: Previous.told(described, previous, marker.isNamed == true)]
    }

    private Map create(Map marker) {
        int n = 0
        Map answer = once(marker)
        while (answer.isAgain && requests.pause(n, answer)) {
            n += 1
            Map looked = answer.isDoubtful ? look(marker, 1.0d) : [:]
            if (looked.record) {
                return result('created', (Map) looked.record, marker)
            }
            if (looked.answer) {
                return requests.failure((Map) looked.answer)
            }
            answer = once(marker)
        }
        return answer.isFine ? result('created', record(answer), marker) : requests.failure(answer)
    }

    private Map once(Map marker) {
        return requests.once(method: 'POST', address: address, body: marker.event)
    }

    private Map updateBySid(Map marker, String sid) {
        Map there = [sid: sid]
        if (marker.isPartial && marker.event.metadata) {
            // The API replaces all metadata by what is sent.
            Map answer = requests.repeated(method: 'GET', address: addressOf(sid))
            if (!answer.isFine) {
                return requests.failure(answer)
            }
            there = record(answer) + [sid: sid]
        }
        return update(there, marker)
    }

    private Map update(Map there, Map marker) {
        Map request = [method: 'PATCH', address: addressOf(there.sid.toString()), body: Marker.changes(there, (Map) marker.event)]
        Map answer = requests.repeated(request)
        if ([404, 405].contains(answer.status)) {
            answer = requests.repeated(request + [method: 'PUT'])
        }
        return answer.isFine ? result('updated', record(answer) + [sid: there.sid], marker) : requests.failure(answer)
    }

    /** Gives [record] of the marker, [:] if there is none, [answer: the last, isOver] if the look-up failed. */
    private Map look(Map marker, double share) {
        long about = marker.startedAt == null ? System.currentTimeMillis() : (long) marker.startedAt
        long before = marker.startedAt == null ? WEEK : HOUR
        String window = '?startDate=' + Text.timestamp(about - before) + '&endDate=' + Text.timestamp(about + HOUR) + '&limit=100&page='
        for (int page = 1; page <= MOST_PAGES; page++) {
            Map answer = requests.repeated([method: 'GET', address: address + window + page], share)
            if (!answer.isFine) {
                return [answer: answer, isOver: answer.isOver]
            }
            Map listed = record(answer)
            Map found = matching(listed.records, marker)
            if (found != null) {
                return [record: found]
            }
            if (listed.hasMore != true || isPast(listed.records, about - before)) {
                return [:]
            }
        }
        return [:]
    }

    private String addressOf(String sid) {
        return address + '/' + URLEncoder.encode(sid, 'UTF-8')
    }

    @NonCPS
    private static Map matching(Object records, Map marker) {
        if (records instanceof List) {
            for (item in (List) records) {
                if (item instanceof Map && Marker.isSame((Map) item, marker)) {
                    return (Map) item
                }
            }
        }
        return null
    }

    /** Whether no later page can hold what started after this moment: the newest come first, and the API may ignore the period. */
    @NonCPS
    private static boolean isPast(Object records, long moment) {
        String last = null
        if (records instanceof List) {
            for (item in (List) records) {
                String start = item instanceof Map ? ((Map) item).startedAt : null
                if (start == null || !start.endsWith('Z') || (last != null && start > last)) {
                    return false
                }
                last = start
            }
        }
        return last != null && last < Text.timestamp(moment)
    }

    @NonCPS
    private static Map result(String status, Map there, Map marker) {
        Map metadata = there.metadata instanceof Map ? (Map) there.metadata : [:]
        return [status: status, sid: there.sid, key: metadata.marker_key ?: marker.key, metadata: metadata]
    }

    /** The object in an answer, which may be in an envelope. */
    @NonCPS
    private static Map record(Map answer) {
        Map data = answer.data instanceof Map ? (Map) answer.data : [:]
        return data.success == true && data.data instanceof Map ? (Map) data.data : data
    }

}
