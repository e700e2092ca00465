import java.lang.annotation.Retention
import java.lang.annotation.RetentionPolicy

/** `@Library('apitraffic') _`: the harness has loaded it already. */
@Retention(RetentionPolicy.SOURCE)
@interface Library {
    String value()
}
