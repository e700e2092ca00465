import io.apitraffic.jenkins.Report

/** Sends one event to ApiTraffic. Gives a map with `status`, `sid` and `markerKey`; see apitrafficEvent.txt. */
Map call(Map inputs = [:]) {
    return new Report(this, inputs).send()
}
