package io.apitraffic.jenkins

import com.cloudbees.groovy.cps.NonCPS

/** Requests that are retried, all within one time budget that begins with the first. */
class Requests implements Serializable {

    private static final long serialVersionUID = 1

    private static final long LONGEST_REQUEST = 10000
    private static final long LONGEST_ASKING = 3000
    private static final long SHARES_OF_ASKING = 4
    private static final long SHORTEST_REQUEST = 100
    private static final long SHORTEST_PAUSE = 500
    private static final long LONGEST_PAUSE = 8000
    private static final String SECONDS = '\\d{1,10}'
    private static final String HTTP_DATE = '[A-Z][a-z]{2}, \\d{2} [A-Z][a-z]{2} \\d{4} \\d{2}:\\d{2}:\\d{2} GMT'
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

    /** One request. Gives the answer of Http with isFine, isAgain (to be retried) and isDoubtful (may have been carried out). */
    Map once(Map request, long longest = LONGEST_REQUEST) {
        long now = System.currentTimeMillis()
        if (began == null) {
            began = now
        }
        long left = Math.max(SHORTEST_REQUEST, Math.min(longest, began + budget - now))
        tries += 1
        Map answer
        try {
            answer = http.exchange(request + [seconds: (left / 1000.0d).toString()])
        } catch (InterruptedException interruption) {
            throw interruption
        } catch (Exception error) { // for example, the agent has disconnected
            answer = [status: 0, headers: [:], data: null, problem: Text.oneLine(error.getMessage() ?: error, 300)]
        }
        return judged(answer)
    }

    /** Like `once`, for a question on which nothing depends: it takes a few seconds at most, and is no attempt of anything. */
    Map asked(Map request) {
        Map answer = once(request, Math.min(LONGEST_ASKING, budget.intdiv(SHARES_OF_ASKING)))
        tries -= 1
        return answer
    }

    /** Like `once`, but retries until success, a refusal, or the end of this share (0 to 1) of the budget. */
    Map repeated(Map request, double share = 1.0d) {
        int n = 0
        Map answer = once(request)
        while (answer.isAgain && pause(n, answer, share)) {
            n += 1
            answer = once(request)
        }
        return answer
    }

    /** Waits before the next attempt; false, without waiting, if that would be past the budget. */
    boolean pause(int n, Map answer, double share = 1.0d) {
        if (answer.isUnable) {
            return false
        }
        long now = System.currentTimeMillis()
        long asked = askedPause((Map) answer.headers, answer.status == 429, now)
        long wait = asked > 0 ? asked : Math.round(Math.random() * longestPause(n + 1))
        if (now + wait >= began + Math.round(budget * (asked > 0 ? 1.0d : share))) {
            if (asked > 0) {
                answer.isOver = true
            }
            return false
        }
        script.sleep(time: wait, unit: 'MILLISECONDS')
        return true
    }

    /** What a failed answer is to Report: [unreachable: words] or [refused: answer]. */
    Map failure(Map answer) {
        return answer.isAgain ? [unreachable: unreachable()] : [refused: answer]
    }

    String unreachable() {
        String seconds = String.format('%.1f', (System.currentTimeMillis() - began) / 1000.0d)
        String often = tries == 1 ? 'once' : tries + ' times'
        return lastProblem + ' (tried ' + often + ' in ' + seconds + ' s). ' +
            'If this persists, check the address and the network of this agent.'
    }

    private Map judged(Map answer) {
        int status = answer.status
        boolean isSuccess = status >= 200 && status < 300
        // A page of a proxy proves nothing: the request may have been carried out, or not.
        boolean isUnreadable = isSuccess && status != 204 && answer.data == null
        boolean isAgain = AGAIN.contains(status) || status >= 500 || isUnreadable
        if (isAgain) {
            lastProblem = answer.problem ?: 'the answer ' + status + (isUnreadable ? ' is not JSON' : words(answer))
        }
        return answer + [
            isFine: isSuccess && !isUnreadable, isAgain: isAgain, isDoubtful: status == 0 || status >= 500 || isUnreadable,
        ]
    }

    /** Code and message in the body of an answer, from the Events API or the receiver (RFC 9457). */
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

    /** Milliseconds after this many failures in a row, before a random part of it is taken. */
    @NonCPS
    static long longestPause(int failures) {
        return Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * (1 << Math.min(failures - 1, 5)))
    }

    /** Milliseconds that the answer asks to wait; 0 if it asks for none. RFC 9110, 10.2.3. */
    @NonCPS
    static long askedPause(Map headers, boolean isRateLimit, long now) {
        String after = (headers.get('retry-after') ?: '').toString().trim()
        String reset = (headers.get('x-ratelimit-reset') ?: '').toString().trim()
        if (after.matches(SECONDS)) {
            return after.toLong() * 1000
        }
        if (after.matches(HTTP_DATE)) {
            return Math.max(0L, Date.parse(after) - now)
        }
        return isRateLimit && reset.matches(SECONDS) ? Math.max(0L, reset.toLong() * 1000 - now) : 0
    }

}
