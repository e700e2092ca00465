package io.apitraffic.jenkins

import com.cloudbees.groovy.cps.NonCPS

/** How an event tells what ran before: receiver/insight/annotation.py in Groovy, in the same words. */
class Previous implements Serializable {

    private static final long serialVersionUID = 1

    private static final List FACTS = ['previous_version', 'previous_commit', 'previous_deployed_at', 'compare_url', 'course']
    private static final String LINE = '(?:Before: .+, deployed|Rollback to .+ from .+, deployed|Again: .+ was deployed here)' +
        ' .+ earlier\\.(?: https?://\\S+)?'
    private static final Map VERBS = [
        'Deploy ': 'Roll back ', 'Failed deploy ': 'Failed rollback of ', 'Cancelled deploy ': 'Cancelled rollback of ',
    ]
    private static final int LINK_LIMIT = 300

    /** The event with a line and metadata about what ran before. */
    @NonCPS
    static Map told(Map event, Map previous, boolean keepsName) {
        if (previous == null) {
            return event
        }
        String line = lineOf(event, previous)
        String above = Text.paragraphs(event.description ?: '')
        int room = Text.DESCRIPTION_LIMIT - Text.length(line) - 1
        if (Text.length(above) > room) {
            above = Text.cut(above, room - 1).replaceAll('\\s+$', '') + Text.ELLIPSIS
        }
        Map facts = [:]
        facts.putAll((Map) event.metadata)
        Map known = [
            previous_version: previous.version, previous_commit: previous.commit, compare_url: previous.link,
            previous_deployed_at: Text.timestamp((long) previous.at), course: previous.course,
        ]
        for (String name in FACTS) {
            if (known.get(name)) {
                facts.put(name, known.get(name))
            }
        }
        return event + [
            name: previous.course == 'rollback' && !keepsName ? rolledBack(event, previous) : event.name,
            description: above.isEmpty() ? line : above + '\n' + line,
            metadata: facts.size() <= Inputs.METADATA_KEYS ? facts : event.metadata,
        ]
    }

    /** What the API has, without what was said there of an earlier deploy in our words. */
    @NonCPS
    static Map without(Map there) {
        Map facts = [:]
        facts.putAll(there.metadata instanceof Map ? (Map) there.metadata : [:])
        if (!facts.previous_deployed_at) {
            return there
        }
        for (String name in FACTS) {
            facts.remove(name)
        }
        List lines = []
        for (String each in (there.description ?: '').toString().split('\n')) {
            if (!each.matches(LINE)) {
                lines.add(each)
            }
        }
        return there + [metadata: facts, description: lines.join('\n')]
    }

    @NonCPS
    private static String lineOf(Map event, Map previous) {
        long end = Text.milliseconds(event.endedAt ?: event.startedAt)
        String earlier = Text.duration(end - (long) previous.at) + ' earlier.'
        String version = previous.version ?: Text.cut((String) previous.commit, History.SHORT)
        if (previous.course == 'redeploy') {
            return 'Again: ' + version + ' was deployed here ' + earlier
        }
        String told = previous.course == 'rollback' ? 'Rollback to ' + versionNow(event, previous) + ' from ' : 'Before: '
        return told + version + ', deployed ' + earlier + (previous.link ? ' ' + previous.link : '')
    }

    @NonCPS
    private static String versionNow(Map event, Map previous) {
        String commit = (event.metadata.short_commit ?: event.metadata.commit ?: '').toString()
        return previous.now ?: (commit.length() > History.SHORT ? commit.substring(0, History.SHORT) : commit) ?: 'an earlier version'
    }

    /** `Roll back acme/shop to v1 in production`, if the name is one that deployments get. */
    @NonCPS
    private static String rolledBack(Map event, Map previous) {
        Map facts = (Map) event.metadata
        String name = event.name
        String verb = ['Deploy ', 'Failed deploy ', 'Cancelled deploy '].findAll { name.startsWith(it) }.join('')
        String rest = name.substring(verb.length())
        String place = facts.environment ? ' to ' + facts.environment : ''
        for (Object known in [facts.service, facts.repository, facts.job]) {
            if (!verb.isEmpty() && known instanceof String && rest.startsWith(known + ' ') && rest.endsWith(place)) {
                int from = ((String) known).length() + 1
                int until = rest.length() - place.length()
                String version = (until > from ? rest.substring(from, until) : '') ?: versionNow(event, previous)
                if (version.contains(' ')) {
                    return name
                }
                String there = facts.environment ? ' in ' + facts.environment : ''
                return Text.oneLine(VERBS.get(verb) + known + ' to ' + (previous.now ?: version) + there, Text.NAME_LIMIT)
            }
        }
        return name
    }

    /** receiver.insight.compare */
    @NonCPS
    static String linkOf(Map event, String old, String commit) {
        String url = (event.metadata.repository_url ?: '').toString()
        def parts = url =~ '(https?://)(?:[^/?#]*@)?([^/?#:@\\s]+)((?::\\d+)?)(/[^?#\\s]*?)(?:\\.git)?/*(?:[?#]\\S*)?'
        boolean areCommits = old.matches(History.COMMIT) && commit.matches(History.COMMIT) && old != commit
        if (!parts.matches() || url.length() > LINK_LIMIT || !areCommits) {
            return ''
        }
        String host = parts.group(2).toLowerCase().replaceAll('^www\\.', '')
        String path = parts.group(4).replaceAll('/+$', '').replaceAll('\\.git$', '')
        String page = parts.group(1) + parts.group(2) + parts.group(3) + path
        if (path.isEmpty()) {
            return ''
        }
        if (host == 'bitbucket.org') {
            return page + '/branches/compare/' + commit + '..' + old
        }
        boolean isGitHub = ['github.com', 'gitea.com', 'codeberg.org'].contains(host) || host.endsWith('.ghe.com')
        if (isGitHub || host != 'gitlab.com' && event.source == 'github_actions') {
            return page + '/compare/' + old + '...' + commit
        }
        return host == 'gitlab.com' || event.source == 'gitlab_ci' ? page + '/-/compare/' + old + '...' + commit : ''
    }

}
