import hudson.AbortException
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpResponse
import java.time.Duration

/** The steps that the library and the examples use; they really run. */
abstract class PipelineScript extends Script {

    Build getBuild() {
        return binding.getVariable('theBuild')
    }

    void echo(String message) {
        build.log.append(message).append('\n')
    }

    void error(String message) {
        throw new AbortException(message)
    }

    /** For tests: records the result of a step. */
    Object record(Object value) {
        build.recorded.add(value)
        return value
    }

    /** For tests: records that a place was reached. */
    void reached(String place) {
        build.order.add(place)
    }

    /** For tests: aborts the build. */
    void abort() {
        throw new FlowInterruptedException()
    }

    boolean isUnix() {
        build.needNode()
        return build.request.unix
    }

    String pwd(Map arguments = [:]) {
        build.needNode()
        return (arguments.tmp ? build.temporary : build.workspace).path
    }

    void writeFile(Map arguments) {
        build.needNode()
        new File(arguments.file).setText(arguments.text, arguments.encoding)
    }

    String libraryResource(Map arguments) {
        return new File(build.request.library + '/resources/' + arguments.resource).getText(arguments.encoding)
    }

    void sleep(Map arguments) {
        assert arguments.unit == 'MILLISECONDS'
        build.aside { Thread.sleep(arguments.time) }
    }

    Object withEnv(List<String> settings, Closure body) {
        return build.within(settings.collectEntries { it.toString().split('=', 2) as List }, body)
    }

    Map string(Map arguments) {
        return arguments
    }

    Object withCredentials(List bindings, Closure body) {
        Map layer = bindings.collectEntries {
            if (!build.request.credentials.containsKey(it.credentialsId)) {
                throw new AbortException("Could not find credentials entry with ID '" + it.credentialsId + "'")
            }
            return [it.variable, build.request.credentials[it.credentialsId]]
        }
        return build.within(layer, body)
    }

    Object sh(String script) {
        return sh(script: script)
    }

    Object sh(Map arguments) {
        build.needNode()
        assert build.request.unix
        File file = File.createTempFile('durable-', '.sh', build.temporary)
        file.text = arguments.script
        List command = arguments.script.startsWith('#!') ? ['/bin/sh', file.path] : ['/bin/sh', '-xe', file.path]
        ProcessBuilder builder = new ProcessBuilder(command).directory(build.workspace)
        Map environment = builder.environment()
        environment.clear()
        environment.putAll(PATH: System.getenv('PATH'), HOME: build.workspace.path)
        environment.putAll(build.environment().collectEntries { [it.key.toString(), it.value.toString()] })
        Process process = builder.start()
        process.outputStream.close()
        StringBuffer out = new StringBuffer()
        StringBuffer words = new StringBuffer()
        build.aside { process.waitForProcessOutput(out, words) }
        file.delete()
        build.log.append(words)
        if (!arguments.returnStdout) {
            build.log.append(out)
        }
        if (process.exitValue() != 0) {
            throw new AbortException('script returned exit code ' + process.exitValue())
        }
        return arguments.returnStdout ? out.toString() : null
    }

    /** There is no PowerShell here: this reads and prints the same as request.ps1. */
    Object powershell(Map arguments) {
        build.needNode()
        assert !build.request.unix && arguments.returnStdout && arguments.script.contains('$env:APITRAFFIC_ADDRESS')
        Map env = build.environment()
        File body = new File(env.APITRAFFIC_FILE + '.json')
        Map headers = [Authorization: 'Bearer ' + env.APITRAFFIC_SECRET]
        if (env.APITRAFFIC_DELIVERY) {
            headers['webhook-id'] = env.APITRAFFIC_DELIVERY
        }
        try {
            String text = body.exists() ? body.getText('UTF-8') : null
            HttpResponse answer = build.aside {
                exchange(env.APITRAFFIC_METHOD, env.APITRAFFIC_ADDRESS, text, headers, env.APITRAFFIC_SECONDS.toDouble())
            }
            String head = answer.headers().map().collect { name, values -> name + ': ' + values.join(', ') }.join('\r\n')
            return '0\r\n\r\nHTTP/1.1 ' + answer.statusCode() + '\r\n' + head + '\r\n\r\n' + answer.body()
        } catch (IOException failure) {
            return '1\r\n' + (failure.message ?: failure) + '\r\n'
        } finally {
            body.delete()
        }
    }

    /** The step of the HTTP Request plugin, if the build has it. */
    Object httpRequest(Map arguments) {
        if (!build.request.httpRequest) {
            throw new NoSuchMethodError("No such DSL method 'httpRequest' found among steps [echo, error, sh]")
        }
        assert arguments.customHeaders.find { it.name == 'Authorization' }.maskValue && arguments.quiet
        assert arguments.validResponseCodes == '100:599' && arguments.timeout > 0
        Map headers = arguments.customHeaders.collectEntries { [it.name, it.value] }
        HttpResponse answer = build.aside {
            exchange(arguments.httpMode, arguments.url, arguments.requestBody, headers, arguments.timeout)
        }
        return new HttpResponseContent(status: answer.statusCode(), content: answer.body(), headers: answer.headers().map())
    }

    static HttpResponse exchange(String method, String address, String body, Map headers, Number seconds) {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(address)).timeout(Duration.ofMillis((seconds * 1000) as long))
        request.header('Content-Type', 'application/json')
        headers.each { name, value -> request.header(name, value) }
        request.method(method, body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofString(body))
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build()
        return client.send(request.build(), HttpResponse.BodyHandlers.ofString())
    }

    Object node(String label = '', Closure body) {
        Boolean before = build.node.get()
        build.node.set(true)
        try {
            return body()
        } finally {
            build.node.set(before)
        }
    }

    Object stage(String name, Closure body) {
        return build.within([STAGE_NAME: name], body)
    }

    Map checkout(Object scm) {
        return build.request.scm
    }

    Object catchError(Map arguments = [:], Closure body) {
        try {
            return body()
        } catch (FlowInterruptedException interruption) {
            throw interruption
        } catch (Exception failure) {
            build.log.append(failure.message).append('\n')
            build.run.worsen(arguments.containsKey('buildResult') ? arguments.buildResult ?: 'SUCCESS' : 'FAILURE')
            return null
        }
    }

    /** The branches begin in their order. */
    Object parallel(Map branches) {
        List failures = [].asSynchronized()
        List threads = branches.findAll { it.key != 'failFast' }.collect { name, body ->
            Thread branch = Thread.start {
                build.turn.lock()
                try {
                    body()
                } catch (Throwable failure) {
                    failures.add(failure)
                } finally {
                    build.turn.unlock()
                }
            }
            while (!build.turn.hasQueuedThread(branch)) {
                Thread.yield()
            }
            return branch
        }
        build.aside { threads*.join() }
        if (failures) {
            throw failures[0]
        }
        return null
    }

    Object pipeline(Closure body) {
        return new Declarative(this).run(body)
    }

}
