import java.util.concurrent.locks.ReentrantLock
import org.jenkinsci.plugins.workflow.steps.MissingContextVariableException

/** One build: the request of the driver, the log and the result. */
class Build {

    final Map request
    final StringBuffer log = new StringBuffer()
    final Map base
    final RunWrapper run
    final File workspace
    final File temporary
    List recorded = [].asSynchronized()
    List order = [].asSynchronized()
    /** Of all branches of a pipeline, one runs at a time in Jenkins, and the next one when it waits for a step. */
    final ReentrantLock turn = new ReentrantLock(true)
    final InheritableThreadLocal<List<Map>> layers = new InheritableThreadLocal<List<Map>>()
    final InheritableThreadLocal<Boolean> node = new InheritableThreadLocal<Boolean>()

    Build(Map request) {
        this.request = request
        base = new LinkedHashMap(request.env)
        workspace = new File(request.workspace)
        temporary = new File(request.workspace + '@tmp')
        workspace.mkdirs()
        temporary.mkdirs()
        run = new RunWrapper(
            startTimeInMillis: request.startTimeInMillis ?: System.currentTimeMillis() - 1000, causes: request.causes ?: [],
            changeSets: [new ChangeSet(items: request.changes.collect { new ChangeEntry(commitId: it.commitId, msg: it.msg) })],
        )
        layers.set([])
        node.set(request.node)
    }

    Map environment() {
        Map all = new LinkedHashMap(base)
        layers.get().each { all.putAll(it) }
        return all.findAll { it.value != null && it.value.toString() != '' }
    }

    Object within(Map layer, Closure body) {
        List before = layers.get()
        layers.set(before + [layer])
        try {
            return body()
        } finally {
            layers.set(before)
        }
    }

    /** Runs what other branches need not wait for. */
    Object aside(Closure work) {
        turn.unlock()
        try {
            return work()
        } finally {
            turn.lock()
        }
    }

    void needNode() {
        if (!node.get()) {
            throw new MissingContextVariableException(
                'Required context class hudson.FilePath is missing\nPerhaps you forgot to surround the step with a step that provides this, such as: node')
        }
    }

}
