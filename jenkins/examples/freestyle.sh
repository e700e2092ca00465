#!/bin/sh
# For the build step "Execute shell" of a freestyle job. Bind a secret text with the receiver's EVENTS_WEBHOOK_SECRET to
# APITRAFFIC_SECRET. In the PostBuildScript plugin, the script also reports failures. It never fails the build.
set +x
RECEIVER_URL=${APITRAFFIC_RECEIVER_URL:-}
[ -n "$RECEIVER_URL" ] || { echo 'ApiTraffic is not configured: APITRAFFIC_RECEIVER_URL is empty; set it for all jobs'; exit 0; }
ENVIRONMENT=${ENVIRONMENT:-production}

json() { printf '"%s"' "$(printf '%s' "$1" | tr -d '\000-\037' | sed 's/[\\"]/\\&/g')"; }

case ${BUILD_RESULT:-SUCCESS} in
  SUCCESS | UNSTABLE) name='Deploy' status=success ;;
  ABORTED) name='Cancelled deploy' status=cancelled ;;
  *) name='Failed deploy' status=failure ;;
esac

cat >"$WORKSPACE/.apitraffic.json" <<END
{"key": $(json "jenkins:${BUILD_URL%/}:$ENVIRONMENT"), "effect": "close", "type": "deployment", "source": "jenkins",
 "name": $(json "$name $JOB_NAME #$BUILD_NUMBER to $ENVIRONMENT"), "endedAt": $(json "$(date -u +%Y-%m-%dT%H:%M:%SZ)"),
 "metadata": {"environment": $(json "$ENVIRONMENT"), "status": "$status", "job": $(json "$JOB_NAME"),
  "url": $(json "$BUILD_URL"), "run_url": $(json "$BUILD_URL"), "commit": $(json "${GIT_COMMIT:-}")}}
END
printf 'header = "Authorization: Bearer %s"\n' "$APITRAFFIC_SECRET" |
  curl --config - --fail --silent --show-error --max-time 10 --retry 2 --header 'Content-Type: application/json' \
    --header "webhook-id: jenkins-${BUILD_TAG:-$BUILD_URL}-$status" --data-binary "@$WORKSPACE/.apitraffic.json" \
    --output /dev/null "${RECEIVER_URL%/}/webhooks/events" || echo 'ApiTraffic: the event was not sent; see the message of curl above'
rm -f "$WORKSPACE/.apitraffic.json"
