{{- define "openagents.labels" -}}
app.kubernetes.io/name: openagents
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "openagents.about" -}}
{{ include "openagents.labels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "openagents.image" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{/* Nobody is root, nothing is written but to /tmp, and no pod has a token of the cluster. */}}
{{- define "openagents.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
volumes:
  - name: tmp
    emptyDir: {}
{{- end }}

{{- define "openagents.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
{{- end }}

{{/* Variables of a user of the store, "api" or "worker". */}}
{{- define "openagents.env" -}}
{{- $ := .root -}}
- name: OPENAGENTS_URL
  valueFrom: {secretKeyRef: {name: {{ $.Values.store.secret }}, key: {{ .user }}-url}}
- name: OPENAGENTS_BROKER
  valueFrom: {secretKeyRef: {name: {{ $.Values.store.secret }}, key: {{ .user }}-broker, optional: true}}
- {name: OPENAGENTS_PREFIX, value: {{ $.Values.store.prefix | quote }}}
- {name: OPENAGENTS_DURABILITY, value: {{ $.Values.store.durability | quote }}}
{{- range $name, $value := $.Values.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "openagents.secrets" -}}
{{- with .Values.secrets }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
{{- end }}

{{/* Instances lie on different nodes where there are as many. */}}
{{- define "openagents.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "openagents.labels" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
{{- end }}
