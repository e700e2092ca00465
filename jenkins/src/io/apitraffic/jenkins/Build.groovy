package io.apitraffic.jenkins

import com.cloudbees.groovy.cps.NonCPS

/** What Jenkins knows about the running build, as a map of metadata names to texts. */
class Build implements Serializable {

    private static final long serialVersionUID = 1

    private static final String REPOSITORY =
        '(?:(?:https?|ssh|git)://[^/\\s]+/|[^/@:\\s]+@[^/:\\s]+:)/?([^\\s?#@]+?)(?:\\.git)?/?'

    /** `scm` is the result of `checkout scm`: scripted pipelines have no GIT_COMMIT in their environment. */
    static Map facts(Object script, Map scm) {
        Object env = script.env
        Map git = [
            commit: (scm.GIT_COMMIT ?: env.GIT_COMMIT),
            branch: (scm.GIT_LOCAL_BRANCH ?: scm.GIT_BRANCH ?: env.GIT_LOCAL_BRANCH ?: env.GIT_BRANCH),
            url: (scm.GIT_URL ?: env.GIT_URL),
        ]
        Map place = [
            job: env.JOB_NAME, number: env.BUILD_NUMBER, url: env.BUILD_URL, page: env.RUN_DISPLAY_URL, node: env.NODE_NAME,
            tag: env.TAG_NAME, branch: env.CHANGE_BRANCH ?: env.BRANCH_NAME, pullRequest: env.CHANGE_ID,
        ]
        return metadata(git, place) + present(history(script.currentBuild, git.commit?.toString()))
    }

    /** `jenkins:<build URL>`, the key that the receiver gives to webhooks of this build. */
    static String key(Object script) {
        String url = script.env.BUILD_URL ?: ''
        if (url.isEmpty()) {
            return 'jenkins:' + jobPath(script.env.JOB_NAME ?: '') + '#' + script.env.BUILD_NUMBER
        }
        return 'jenkins:' + Text.withoutEndSlash(withoutCredentials(url))
    }

    @NonCPS
    private static String jobPath(String name) {
        List parts = []
        for (String part in name.split('/')) {
            parts.add('job/' + URLEncoder.encode(part, 'UTF-8').replace('+', '%20'))
        }
        return parts.join('/')
    }

    /** What is deployed: a tag, else `branch@0123abc`, else the commit; empty if none of them is known. */
    @NonCPS
    static String versionOf(String tag, String branch, String commit) {
        if (!tag.isEmpty()) {
            return tag
        }
        String shortCommit = commit.length() > 7 ? commit.substring(0, 7) : commit
        boolean isCommit = branch.matches('[0-9a-f]{7,64}') && (commit ?: branch).startsWith(branch.substring(0, 7))
        if (isCommit) {
            return branch.substring(0, 7)
        }
        return branch + (branch.isEmpty() || shortCommit.isEmpty() ? '' : '@') + shortCommit
    }

    @NonCPS
    private static Map metadata(Map git, Map place) {
        String commit = git.commit ?: ''
        String branch = (place.branch ?: git.branch ?: '').toString().replaceAll('^(refs/remotes/)?origin/', '')
        String ref = place.tag ?: (['detached', 'HEAD'].contains(branch) ? '' : branch)
        String clone = withoutCredentials((git.url ?: '').toString())
        def parts = clone =~ REPOSITORY
        String buildUrl = withoutCredentials((place.url ?: '').toString())
        String shortCommit = commit.length() > 7 ? commit.substring(0, 7) : commit
        String version = versionOf((place.tag ?: '').toString(), ref, commit) ?: '#' + place.number
        return present([
            repository: parts.matches() ? parts.group(1) : '',
            repository_url: clone.startsWith('http') ? Text.withoutEndSlash(clone).replaceAll('\\.git$', '') : '',
            version: version, ref: ref, commit: commit, short_commit: shortCommit,
            url: place.page ?: buildUrl, run_url: buildUrl, run_number: place.number,
            job: decoded((place.job ?: '').toString()), node: place.node, pull_request: place.pullRequest,
        ])
    }

    /** Who started the build, and the first line of the commit's message if it is among the build's changes. */
    @NonCPS
    private static Map history(Object build, String commit) {
        Map found = [:]
        for (cause in build.getBuildCauses()) {
            for (Object name in [cause.get('userName'), cause.get('userId')]) {
                if (found.actor == null && name && !name.toString().contains('@')) {
                    found.put('actor', name.toString())
                }
            }
        }
        for (changes in build.changeSets) {
            for (change in changes.getItems()) {
                if (commit != null && commit == change.getCommitId()?.toString()) {
                    found.put('commit_message', Text.firstLine(change.getMsg()))
                }
            }
        }
        return found
    }

    @NonCPS
    private static Map present(Map values) {
        Map kept = [:]
        for (entry in values.entrySet()) {
            String line = entry.getValue() == null ? '' : Text.oneLine(entry.getValue(), Text.VALUE_LIMIT)
            if (!line.isEmpty()) {
                kept.put(entry.getKey(), line)
            }
        }
        return kept
    }

    /** In a multibranch project, the job's name is the encoded branch. */
    @NonCPS
    private static String decoded(String job) {
        try {
            return URLDecoder.decode(job.replace('+', '%2B'), 'UTF-8')
        } catch (Exception ignored) { // a job may be called 100%
            return job
        }
    }

    @NonCPS
    private static String withoutCredentials(String url) {
        return url.replaceAll('^([a-z+]+://)[^/?#]*@', '$1')
    }

}
