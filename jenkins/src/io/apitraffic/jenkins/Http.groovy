package io.apitraffic.jenkins

import com.cloudbees.groovy.cps.NonCPS
import groovy.json.JsonOutput
import org.jenkinsci.plugins.workflow.steps.MissingContextVariableException

/**
 * One HTTP request, by curl or PowerShell on the agent or by the HTTP Request plugin. Expects the secret in the
 * variable APITRAFFIC_SECRET of the surrounding credentials binding.
 *
 * The answer is a map: status (0 if there was none), headers (names in lower case), data (the JSON, or null),
 * problem (why there was no answer), isUnable (this build has no way to send, so retrying does not help).
 */
class Http implements Serializable {

    private static final long serialVersionUID = 1

    private static final String RESOURCES = 'io/apitraffic/jenkins/'
    private static final int PROBLEM_LIMIT = 300
    private static final int CURL_IS_MISSING = 127

    private final Object script
    private final String sender
    private String folder

    Http(Object script, String sender) {
        this.script = script
        this.sender = sender
    }

    Map exchange(Map request) {
        if (sender == 'httpRequest' || !findFolder()) {
            return byPlugin(request)
        }
        return onAgent(request)
    }

    /** Finds the agent's folder for temporary files; false if there is no agent. */
    private boolean findFolder() {
        if (folder == null) {
            try {
                folder = script.pwd(tmp: true)
            } catch (MissingContextVariableException ignored) {
                folder = ''
            }
        }
        return !folder.isEmpty()
    }

    private Map onAgent(Map request) {
        String file = folder + '/apitraffic-' + UUID.randomUUID()
        if (request.body != null) {
            script.writeFile(file: file + '.json', text: JsonOutput.toJson((Map) request.body), encoding: 'UTF-8')
        }
        List environment = [
            'APITRAFFIC_METHOD=' + request.method,
            'APITRAFFIC_ADDRESS=' + request.address,
            'APITRAFFIC_SECONDS=' + request.seconds,
            'APITRAFFIC_DELIVERY=' + (request.delivery ?: ''),
            'APITRAFFIC_FILE=' + file,
        ]
        String label = 'ApiTraffic: ' + request.method
        String printed = ''
        script.withEnv(environment) {
            if (script.isUnix()) {
                printed = script.sh(
                    label: label, returnStdout: true, encoding: 'UTF-8',
                    script: script.libraryResource(resource: RESOURCES + 'request.sh', encoding: 'UTF-8')
                )
            } else {
                printed = script.powershell(
                    label: label, returnStdout: true, encoding: 'UTF-8',
                    script: script.libraryResource(resource: RESOURCES + 'request.ps1', encoding: 'UTF-8')
                )
            }
        }
        return parsed(withoutSecret(printed))
    }

    private Map byPlugin(Map request) {
        List headers = [[name: 'Authorization', value: 'Bearer ' + script.env.APITRAFFIC_SECRET.trim(), maskValue: true]]
        if (request.delivery) {
            headers.add([name: 'webhook-id', value: request.delivery])
        }
        Map arguments = [
            url: request.address, httpMode: request.method, contentType: 'APPLICATION_JSON_UTF8', customHeaders: headers,
            validResponseCodes: '100:599', quiet: true, consoleLogResponseBody: false,
            timeout: Math.max(1, (request.seconds as double).intValue()),
        ]
        if (request.body != null) {
            arguments.requestBody = JsonOutput.toJson((Map) request.body)
        }
        try {
            def response = script.httpRequest(arguments)
            return answer(response.status, flat(response.headers), withoutSecret(response.content ?: ''))
        } catch (NoSuchMethodError ignored) {
            String place = sender == 'httpRequest' ? '' : 'there is no agent here, and '
            return none(place + 'the HTTP Request plugin is not installed; install it, or call this inside a node') +
                [isUnable: true]
        } catch (InterruptedException interruption) {
            throw interruption
        } catch (Exception error) {
            return none(withoutSecret(error.getMessage() ?: error.toString()))
        }
    }

    private String withoutSecret(String text) {
        String secret = script.env.APITRAFFIC_SECRET.trim()
        return text.replace(secret, '****')
    }

    /** The scripts print the exit code, the client's message, status and headers, an empty line, and the body. */
    @NonCPS
    private static Map parsed(String printed) {
        String[] lines = printed.replace('\r\n', '\n').split('\n', 3)
        int code = lines.length > 0 && lines[0].trim().matches('\\d{1,9}') ? lines[0].trim().toInteger() : -1
        if (code != 0 || lines.length < 3) {
            String words = lines.length > 1 ? lines[1] : 'the agent printed nothing'
            if (code == CURL_IS_MISSING) {
                return none("curl is not on this agent; install it, or use sender: 'httpRequest' with the HTTP Request plugin") +
                    [isUnable: true]
            }
            return none(words ?: 'curl ended with ' + code)
        }
        String head = ''
        String rest = lines[2]
        while (rest.startsWith('HTTP/')) { // 100 Continue and a proxy's own answer come before the answer
            int end = rest.indexOf('\n\n')
            head = end < 0 ? rest : rest.substring(0, end)
            rest = end < 0 ? '' : rest.substring(end + 2)
        }
        Map headers = [:]
        String[] headLines = head.split('\n')
        for (int i = 1; i < headLines.length; i++) {
            String[] pair = headLines[i].split(':', 2)
            if (pair.length == 2) {
                headers.put(pair[0].trim().toLowerCase(), pair[1].trim())
            }
        }
        String[] words = headLines[0].split(' ', 3)
        int status = words.length > 1 && words[1].matches('\\d{3}') ? words[1].toInteger() : 0
        return answer(status, headers, rest)
    }

    @NonCPS
    private static Map flat(Map headers) {
        Map single = [:]
        for (entry in (headers ?: [:]).entrySet()) {
            if (entry.getKey() != null) {
                single.put(entry.getKey().toString().toLowerCase(), ((List) entry.getValue()).join(', '))
            }
        }
        return single
    }

    @NonCPS
    private static Map answer(int status, Map headers, String body) {
        return [status: status, headers: headers, data: Text.fromJson(body), problem: null]
    }

    @NonCPS
    private static Map none(String problem) {
        return [status: 0, headers: [:], data: null, problem: Text.oneLine(problem, PROBLEM_LIMIT)]
    }

}
