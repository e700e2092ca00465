import io.apitraffic.jenkins.Report

/** Tells ApiTraffic of one event. Gives a map with `status` and `sid`; see the help beside this file. */
Map call(Map inputs = [:]) {
    return new Report(this, inputs).send()
}
