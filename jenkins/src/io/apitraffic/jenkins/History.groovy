package io.apitraffic.jenkins

import com.cloudbees.groovy.cps.NonCPS

/**
 * Which deployment ran before one, by those that the API lists: receiver/insight/history.py in Groovy. The rules are in
 * docs/ci-plugins.md, "What ran before", and as examples in tests/vectors/previous.json.
 *
 * A deploy is a map of [key, at, start, version, isExact, commit, track, job, run, isBack, hasRun]. Few calls are made
 * for each event that is listed: in the sandbox, each call takes time.
 */
class History implements Serializable {

    private static final long serialVersionUID = 1

    static final String COMMIT = '[0-9a-f]{7,64}'
    static final int SHORT = 7
    private static final List SUCCEEDED = ['success', 'succeeded', 'successful', 'passed', 'unstable', 'warnings', 'rolled_back']
    private static final List OTHER_OUTCOMES = [
        'in_progress', 'running', 'started', 'pending', 'paused', 'failure', 'failed', 'error', 'partial', 'expired',
        'cancelled', 'canceled', 'aborted', 'rejected', 'not_built', 'merged',
    ]
    private static final String GOES_BACK = '(?s).*(roll.?back|revert|restore|undo|promote|redeploy).*'
    private static final String VERSION = '(?:(?:@[^/]+/)?[^/]*[@-])?v?\\d+(?:\\.\\d+)+(?:[-+.][0-9A-Za-z.+-]+)?'
    private static final int FACT_LIMIT = 200
    /** As many as the receiver remembers of one history. Each takes some 50 calls in the sandbox. */
    private static final int MOST_DEPLOYS = 20
    /** Of a time as the API writes it, 2026-01-10T10:00:00.000Z. */
    private static final int TIME_LENGTH = 24

    /** Whether something can have run before: whether the event says what it deploys, and where. */
    @NonCPS
    static boolean isAsked(Map event) {
        Map facts = (Map) (event.metadata ?: [:])
        return text(facts, 'environment') && deploy(event, facts.marker_key, historyOf(event)) != null
    }

    /**
     * Gives [version, commit, at, link, course, now], null if it is not certain what ran before. `page` is a list of the
     * API; `sid` is that of the event of the same deployment, if there is one.
     */
    @NonCPS
    static Map among(Map event, Map page, Object sid) {
        List records = page.records instanceof List ? (List) page.records : []
        boolean isNewestFirst = newestFirst(records, 'startedAt')
        if (page.hasMore == true && !isNewestFirst && !newestFirst(records, 'createdAt')) {
            return null
        }
        Map facts = (Map) event.metadata
        String history = historyOf(event)
        Map own = deploy(event, facts.marker_key, history)
        List others = []
        for (item in records) {
            if (isNewestFirst && others.size() >= MOST_DEPLOYS) {
                break
            }
            if (item instanceof Map && ((Map) item).metadata instanceof Map && historyOf(item) == history && !isOwn(item, facts, sid)) {
                Map other = deploy((Map) item, ((Map) item).sid, history)
                if (other != null && other.hasRun && isBeside((Map) ((Map) item).metadata, facts)) {
                    return null
                }
                if (other != null) {
                    others.add(other)
                }
            }
        }
        return latest(own, ofSameTarget(own, others), event)
    }

    @NonCPS
    private static Map latest(Map own, List candidates, Map event) {
        Map last = null
        Map first = null
        Map again = null
        List earlier = []
        for (Map each in (List<Map>) candidates) {
            if (each.hasRun && isBefore(each, own)) {
                earlier.add(each)
                last = last == null || isBefore(last, each) ? each : last
                if (isSame(each, own)) {
                    first = first == null || isBefore(each, first) ? each : first
                    again = again == null || isBefore(again, each) ? each : again
                }
            }
        }
        Long at = last == null ? null : Text.milliseconds(last.at)
        if (at == null) {
            return null
        }
        Map origin = last
        for (Map each in (List<Map>) earlier) {
            origin = isSame(each, last) && isBefore(each, origin) ? each : origin
        }
        String course = first != null && isBefore(first, origin) ? 'rollback' : null
        return [
            version: Text.oneLine(last.version, FACT_LIMIT), commit: last.commit, at: at,
            link: Previous.linkOf(event, (String) last.commit, (String) own.commit), course: isSame(last, own) ? 'redeploy' : course,
            now: again == null ? '' : Text.oneLine(again.version, FACT_LIMIT),
        ]
    }

    @NonCPS
    private static String text(Map facts, String name) {
        Object value = facts.get(name)
        return value instanceof String || value instanceof Number ? value.toString() : ''
    }

    /** Names the sequence of deployments that an event is one of. */
    @NonCPS
    private static String historyOf(Object event) {
        Map facts = (Map) ((Map) event).metadata
        String subject = text(facts, 'service') ?: text(facts, 'repository') ?: text(facts, 'job')
        boolean isDeployment = !subject.isEmpty() && ((Map) event).type == 'deployment'
        return isDeployment ? (subject + ' ' + text(facts, 'environment')).toLowerCase() : ''
    }

    /** Null if it leaves nothing running of which anything is known. */
    @NonCPS
    private static Map deploy(Map event, Object key, String history) {
        Map facts = (Map) event.metadata
        String status = text(facts, 'status').toLowerCase()
        boolean hasRun = SUCCEEDED.contains(status)
        String start = moment(event.startedAt)
        String end = moment(event.endedAt)
        String commit = text(facts, 'commit')
        String release = text(facts, 'release')
        String version = release ?: text(facts, 'version') ?: described(text(facts, 'ref'), commit)
        boolean isKnown = hasRun || OTHER_OUTCOMES.contains(status)
        if (history.isEmpty() || !isKnown || start.isEmpty() || (version + commit).isEmpty()) {
            return null
        }
        String job = text(facts, 'job')
        String track = text(facts, 'workflow') ?: job
        return [
            key: (key ?: '').toString(), start: start, at: end ?: start, version: version,
            isExact: !release.isEmpty() || version.matches(VERSION), commit: commit.toLowerCase(), track: track, job: job,
            run: text(facts, 'run_id'), hasRun: hasRun,
            isBack: (track + '\n' + job + '\n' + text(facts, 'task')).toLowerCase().matches(GOES_BACK),
        ]
    }

    /** A time as the API writes it, of which the earlier one is the smaller text; empty if it is none. */
    @NonCPS
    private static String moment(Object value) {
        String text = (value ?: '').toString()
        if (text.isEmpty() || text.length() == TIME_LENGTH && text.endsWith('Z')) {
            return text
        }
        Long milliseconds = Text.milliseconds(text)
        return milliseconds == null ? '' : Text.timestamp(milliseconds)
    }

    /** receiver.wording.describe_version */
    @NonCPS
    private static String described(String ref, String commit) {
        String shortCommit = commit.length() > SHORT ? commit.substring(0, SHORT) : commit
        String name = ref.replaceAll('^refs/(heads|tags)/', '')
        if (name.isEmpty() || name.matches(COMMIT) && (commit ?: name).startsWith(name.substring(0, SHORT))) {
            return shortCommit ?: (name.isEmpty() ? '' : name.substring(0, SHORT))
        }
        boolean isVersion = name.matches(VERSION) && !ref.startsWith('refs/heads/')
        return ref.startsWith('refs/tags/') || shortCommit.isEmpty() || isVersion ? name : name + '@' + shortCommit
    }

    @NonCPS
    private static boolean isBefore(Map one, Map other) {
        if (one.at != other.at) {
            return one.at < other.at
        }
        return one.start == other.start ? one.key < other.key : one.start < other.start
    }

    @NonCPS
    private static boolean isSame(Map one, Map other) {
        String commit = one.commit
        String theirs = other.commit
        if (commit.isEmpty() || theirs.isEmpty()) {
            return one.version && one.version == other.version && one.isExact && other.isExact
        }
        int length = Math.min(commit.length(), theirs.length())
        return length >= SHORT && commit.substring(0, length) == theirs.substring(0, length)
    }

    /** Those that replaced what this one replaces: by the same workflow, or by one that goes back for it. */
    @NonCPS
    private static List ofSameTarget(Map own, List others) {
        Map tracks = own.isBack ? [:] : [(own.track): true]
        Map candidates = own.isBack ? [:] : [(own.track): true]
        for (Map each in (List<Map>) others) {
            if (!each.isBack) {
                tracks.put(each.track, true)
                if (own.isBack && isSame(each, own)) {
                    candidates.put(each.track, true)
                }
            }
        }
        if (tracks.size() <= 1) {
            return ofSameJob(own, others)
        }
        if (candidates.size() != 1) {
            return []
        }
        List kept = others.findAll { !it.isBack && candidates.containsKey(it.track) }
        List deployed = kept + [own]
        for (Map each in (List<Map>) others) {
            if (each.isBack && !deployed.findAll { isSame(each, (Map) it) }.isEmpty()) {
                kept.add(each)
            }
        }
        return ofSameJob(own, kept)
    }

    /** Without what other jobs of the same runs deploy side by side with this one. */
    @NonCPS
    private static List ofSameJob(Map own, List others) {
        Map runs = [:]
        for (Map each in (List<Map>) (others + [own])) {
            if (each.run && !each.isBack) {
                Map jobs = (Map) (runs.get(each.run) ?: [:])
                jobs.put(each.job, true)
                runs.put(each.run, jobs)
            }
        }
        Map beside = [:]
        for (entry in runs.entrySet()) {
            Map jobs = (Map) entry.getValue()
            if (own.isBack && jobs.size() > 1) {
                return []
            }
            if (jobs.containsKey(own.job)) {
                beside.putAll(jobs)
            }
        }
        beside.remove(own.job)
        boolean isUnnamed = own.run && !own.job
        return others.findAll { !beside.containsKey(it.job) && !(isUnnamed && it.run == own.run) }
    }

    /** Whether no further page can have later deployments. */
    @NonCPS
    private static boolean newestFirst(List records, String field) {
        String last = null
        for (item in records) {
            String moment = item instanceof Map ? ((Map) item).get(field) : null
            if (moment == null || !moment.endsWith('Z') || (last != null && moment > last)) {
                return false
            }
            last = moment
        }
        return true
    }

    @NonCPS
    private static boolean isOwn(Object event, Map own, Object sid) {
        Map facts = (Map) ((Map) event).metadata
        boolean isFound = sid != null && ((Map) event).sid == sid
        boolean isJob = own.job_id != null && own.job_id.toString() == (facts.job_id ?: '').toString()
        return isFound || isJob || facts.marker_key == own.marker_key || facts.joined_by == own.marker_key
    }

    /** Whether one run made both, and no id of a job tells them apart. */
    @NonCPS
    private static boolean isBeside(Map facts, Map own) {
        String url = Text.withoutEndSlash(own.run_url)
        return !url.isEmpty() && url == Text.withoutEndSlash(facts.run_url) && facts.job_id == null &&
            (facts.run_attempt ?: '').toString() == (own.run_attempt ?: '').toString()
    }

}
