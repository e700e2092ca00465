{{- define "apitraffic.labels" -}}
app.kubernetes.io/name: apitraffic-events
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What selects one component: dict "root" $ "component" "receiver" */}}
{{- define "apitraffic.selector" -}}
app.kubernetes.io/name: apitraffic-events
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "apitraffic.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "apitraffic.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "apitraffic.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "apitraffic.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: config, mountPath: /etc/apitraffic, readOnly: true}
- {name: secrets, mountPath: /run/secrets/apitraffic, readOnly: true}
{{- end }}

{{- define "apitraffic.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
- name: config
  configMap: {name: {{ .Release.Name }}}
- name: secrets
  secret: {secretName: {{ .Values.existingSecret }}, defaultMode: 0440}
{{- end }}

{{/* Receivers and workers read them at start only, so a change replaces the pods. */}}
{{- define "apitraffic.annotations" -}}
checksum/config: {{ .Values.config | sha256sum }}
{{- end }}

{{- define "apitraffic.environment" -}}
- {name: APITRAFFIC_CONFIG, value: /etc/apitraffic/apitraffic.toml}
- {name: REDIS_URL_FILE, value: /run/secrets/apitraffic/redis_url}
{{- range $name, $value := .Values.environment }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
