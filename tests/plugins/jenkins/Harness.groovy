import groovy.json.JsonOutput
import groovy.json.JsonSlurperClassic
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.customizers.ImportCustomizer
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/**
 * A small controller. Reads one build (Build) per line, as JSON, and answers each with a line.
 * Arguments: the library's folder, the folder of this file.
 */
class Harness {

    private final File library
    private final GroovyClassLoader classes
    private final List<String> findings = []

    Harness(File library, File here) {
        this.library = library
        Sandbox.load(new File(here, 'whitelist.txt'))
        CompilerConfiguration configuration = new CompilerConfiguration(scriptBaseClass: 'PipelineScript', sourceEncoding: 'US-ASCII')
        configuration.addCompilationCustomizers(new SandboxCustomizer(findings))
        classes = new GroovyClassLoader(Harness.classLoader, configuration)
        classes.addClasspath(new File(library, 'src').path)
        new File(library, 'src').eachFileRecurse { file ->
            if (file.name.endsWith('.groovy')) {
                classes.loadClass('io.apitraffic.jenkins.' + (file.name - '.groovy'))
            }
        }
    }

    Map run(Map request) {
        Build build = new Build(request + [library: library.path])
        Binding binding = new Binding([
            theBuild: build, env: new Env(build), currentBuild: build.run, inputs: request.inputs, params: request.params ?: [:], scm: [:],
        ])
        String result = null
        String failure = null
        Sandbox.calls.set(0)
        build.turn.lock()
        try {
            Script script = prepared(request.script, build, binding)
            script.run()
        } catch (FlowInterruptedException ignored) {
            result = 'ABORTED'
        } catch (Throwable error) {
            result = 'FAILURE'
            failure = error.message
            build.log.append(error instanceof hudson.AbortException ? 'ERROR: ' + error.message : stack(error)).append('\n')
        } finally {
            build.turn.unlock()
        }
        build.run.worsen(result ?: 'SUCCESS')
        return [
            result: build.run.currentResult, failure: failure, log: build.log.toString(), recorded: build.recorded, order: build.order,
            left: build.temporary.list().toList(), findings: findings, calls: Sandbox.calls.get(),
        ]
    }

    /** The pipeline, with the library's variables as methods; each build has objects of its own. */
    private Script prepared(String text, Build build, Binding binding) {
        new File(library, 'vars').eachFileMatch(~/.*\.groovy/) { file ->
            Script variable = classes.parseClass(file).newInstance()
            variable.binding = binding
            binding.setVariable(file.name - '.groovy', { Object... arguments -> variable.call(*arguments) })
        }
        CompilerConfiguration configuration = new CompilerConfiguration(scriptBaseClass: 'PipelineScript')
        ImportCustomizer imports = new ImportCustomizer()
        imports.addImports('Library')
        configuration.addCompilationCustomizers(imports)
        if (build.request.isSandboxed) {
            configuration.addCompilationCustomizers(new SandboxCustomizer(findings))
        }
        return new GroovyShell(classes, binding, configuration).parse(text)
    }

    private static String stack(Throwable error) {
        StringWriter text = new StringWriter()
        org.codehaus.groovy.runtime.StackTraceUtils.sanitize(error).printStackTrace(new PrintWriter(text))
        return text
    }

    static void main(String[] arguments) {
        Harness harness = new Harness(new File(arguments[0]), new File(arguments[1]))
        PrintStream answers = System.out
        System.out = System.err
        answers.println('ready')
        answers.flush()
        System.in.eachLine('UTF-8') { line ->
            // The maps of JsonSlurper are filled at their first use, which two branches may do at once.
            Map answer = harness.run(new JsonSlurperClassic().parseText(line))
            answers.println(JsonOutput.toJson(answer))
            answers.flush()
        }
    }

}
