package io.apitraffic.jenkins

import com.cloudbees.groovy.cps.NonCPS

/** Requests that are tried again, all within one budget of time that begins with the first. */
class Requests implements Serializable {

    private static final long serialVersionUID = 1

    private static final long LONGEST_REQUEST = 10000
    private static final long SHORTEST_REQUEST = 100
    private static final long FIRST_WAIT = 500
    private static final long LONGEST_WAIT = 8000
    private static final List AGAIN = [0, 408, 425, 429]

    private final Object script
    private final Http http
    private final long budget
    private Long began
    private int tries = 0
    private String lastProblem = ''

    Requests(Object script, Http http, double seconds) {
        this.script = script
        this.http = http
        this.budget = Math.round(seconds * 1000)
    }

    /** One request. The answer is that of Http, with isFine, isAgain (try again) and isDoubtful (perhaps it was done). */
    Map once(Map request) {
        long now = System.currentTimeMillis()
        if (began == null) {
            began = now
        }
        long left = Math.max(SHORTEST_REQUEST, Math.min(LONGEST_REQUEST, began + budget - now))
        tries += 1
        Map answer
        try {
            answer = http.exchange(request + [seconds: (left / 1000.0d).toString()])
        } catch (InterruptedException interruption) {
            throw interruption
        } catch (Exception error) { // the agent is gone, say
            answer = [status: 0, headers: [:], data: null, problem: Text.oneLine(error.getMessage() ?: error, 300)]
        }
        return judged(answer)
    }

    /** As `once`, until it is fine or refused, or the share (0 to 1) of the budget is used up. */
    Map repeated(Map request, double share = 1.0d) {
        int n = 0
        Map answer = once(request)
        while (answer.isAgain && pause(n, answer, share)) {
            n += 1
            answer = once(request)
        }
        return answer
    }

    /** Waits before the next try; false where it would lie past the budget. */
    boolean pause(int n, Map answer, double share = 1.0d) {
        if (answer.isUnable) {
            return false
        }
        long now = System.currentTimeMillis()
        long ordered = orderedWait((Map) answer.headers, answer.status == 429, now)
        long wait = ordered > 0 ? ordered : Math.round(Math.random() * Math.min(LONGEST_WAIT, FIRST_WAIT * (1 << Math.min(n, 5))))
        if (now + wait >= began + Math.round(budget * (ordered > 0 ? 1.0d : share))) {
            if (ordered > 0) {
                answer.isOver = true
            }
            return false
        }
        script.sleep(time: wait, unit: 'MILLISECONDS')
        return true
    }

    String unreachable() {
        String seconds = String.format('%.1f', (System.currentTimeMillis() - began) / 1000.0d)
        return lastProblem + ' (' + tries + (tries == 1 ? ' try' : ' tries') + ' in ' + seconds + ' s)'
    }

    private Map judged(Map answer) {
        int status = answer.status
        boolean isAgain = AGAIN.contains(status) || status >= 500
        if (isAgain) {
            lastProblem = answer.problem ?: 'the answer was ' + status + words(answer)
        }
        return answer + [
            isFine: status >= 200 && status < 300, isAgain: isAgain, isDoubtful: status == 0 || status >= 500,
        ]
    }

    /** Code and words of an answer's body, of the Events API or of the receiver (RFC 9457). */
    @NonCPS
    static String words(Map answer) {
        if (!(answer.data instanceof Map)) {
            return ''
        }
        Map data = (Map) answer.data
        Map error = data.error instanceof Map ? (Map) data.error : [code: data.title, message: data.detail]
        List found = []
        for (Object part in [error.code, error.message]) {
            if (part) {
                found.add(part.toString())
            }
        }
        if (data.errors instanceof List) {
            for (item in (List) data.errors) {
                if (item instanceof Map) {
                    found.add(((Map) item).field + ' ' + ((Map) item).detail)
                }
            }
        }
        return found.isEmpty() ? '' : ' ' + Text.oneLine(found.join(': '), 300)
    }

    /** Milliseconds that the server orders to wait; 0 where it says nothing. RFC 9110, 10.2.3. */
    @NonCPS
    private static long orderedWait(Map headers, boolean isRateLimit, long now) {
        String after = (headers.get('retry-after') ?: '').toString().trim()
        if (after.matches('\\d{1,9}')) {
            return Math.max(1L, after.toLong() * 1000)
        }
        if (!after.isEmpty()) {
            try {
                return Math.max(1L, Date.parse(after) - now)
            } catch (Exception ignored) { // no date either: as if it were not there
                return 0
            }
        }
        String reset = (headers.get('x-ratelimit-reset') ?: '').toString().trim()
        return isRateLimit && reset.matches('\\d{1,12}') ? Math.max(1L, reset.toLong() * 1000 - now) : 0
    }

}
