import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/**
 * Declarative Pipeline as far as the examples use it: agent, environment, options, stages with parallel, when
 * and post, whose conditions run in Jenkins' order (pipeline-model-definition-plugin, model/conditions).
 */
class Declarative {

    static final List ORDER = [
        'always', 'changed', 'fixed', 'regression', 'aborted', 'success', 'unsuccessful', 'unstable', 'failure', 'notBuilt', 'cleanup',
    ]
    static final Map RESULTS = [
        aborted: ['ABORTED'], success: ['SUCCESS'], unsuccessful: ['UNSTABLE', 'FAILURE', 'NOT_BUILT', 'ABORTED'],
        unstable: ['UNSTABLE'], failure: ['FAILURE'], notBuilt: ['NOT_BUILT'],
    ]

    private final PipelineScript script

    Declarative(PipelineScript script) {
        this.script = script
    }

    Object run(Closure body) {
        Section section = new Section(script)
        section.read(body)
        perform(section, 'Declarative: Post Actions')
        return null
    }

    private void perform(Section section, String place) {
        script.build.within(section.environment) {
            Throwable failure = null
            try {
                section.stages.each { stage -> performStage(stage) }
                if (section.branches) {
                    script.parallel(section.branches.collectEntries { stage -> [(stage.name): { performStage(stage) }] })
                }
                if (section.steps != null) {
                    inScript(section.steps)
                }
            } catch (Throwable thrown) {
                failure = thrown
                script.build.run.worsen(thrown instanceof FlowInterruptedException ? 'ABORTED' : 'FAILURE')
            }
            ORDER.findAll { isMet(it) && section.post.containsKey(it) }.each { condition ->
                script.build.within([STAGE_NAME: place]) {
                    inScript(section.post[condition])
                }
            }
            if (failure != null) {
                throw failure
            }
        }
    }

    private void inScript(Closure body) {
        body.delegate = script
        body.resolveStrategy = Closure.DELEGATE_FIRST
        body.call()
    }

    private void performStage(Section stage) {
        script.stage(stage.name) { perform(stage, stage.name) }
    }

    private boolean isMet(String condition) {
        String result = script.build.run.currentResult
        String previous = script.build.request.previousResult
        switch (condition) {
            case ['always', 'cleanup']: return true
            case 'changed': return result != previous
            case 'fixed': return result == 'SUCCESS' && previous in ['FAILURE', 'UNSTABLE']
            case 'regression': return previous != null && RunWrapper.RESULTS.indexOf(result) > RunWrapper.RESULTS.indexOf(previous)
            default: return RESULTS[condition].contains(result)
        }
    }

    static class Section {

        final PipelineScript script
        String name
        List<Section> stages = []
        List<Section> branches = []
        Map environment = [:]
        Map<String, Closure> post = [:]
        Closure steps

        Section(PipelineScript script) {
            this.script = script
        }

        void read(Closure body) {
            body.delegate = this
            body.resolveStrategy = Closure.DELEGATE_FIRST
            body.call()
        }

        void agent(Object ignored) {
        }

        Object getAny() {
            return 'any'
        }

        Object getNone() {
            return 'none'
        }

        void options(Closure ignored) {
        }

        void parameters(Closure ignored) {
        }

        void environment(Closure body) {
            Map target = environment
            body.delegate = new Expando() {
                @Override
                void setProperty(String key, Object value) {
                    target[key] = value.toString()
                }
            }
            body.resolveStrategy = Closure.DELEGATE_FIRST
            body.call()
        }

        void stages(Closure body) {
            read(body)
        }

        void stage(String title, Closure body) {
            stages.add(made(title, body))
        }

        void parallel(Closure body) {
            Section inner = new Section(script)
            inner.read(body)
            branches.addAll(inner.stages)
        }

        void steps(Closure body) {
            steps = body
        }

        void post(Closure body) {
            Map target = post
            body.delegate = new Object() {
                @Override
                Object invokeMethod(String condition, Object arguments) {
                    target[condition] = ((Object[]) arguments)[0]
                    return null
                }
            }
            body.resolveStrategy = Closure.DELEGATE_FIRST
            body.call()
        }

        private Section made(String title, Closure body) {
            Section section = new Section(script)
            section.name = title
            section.read(body)
            return section
        }

    }

}
