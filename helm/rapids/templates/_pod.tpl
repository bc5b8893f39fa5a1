{{/* root, it: the pod of a component. */}}
{{- define "rapids.pod" -}}
{{- $it := .it -}}
{{- $root := .root -}}
metadata:
  labels:
    {{- include "rapids.podLabels" (dict "root" $root "component" $it.name "version" $it.image.tag) | nindent 4 }}
    {{- with $it.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Another configuration is another pod.
    checksum/config: {{ include "rapids.config" . | sha256sum }}
    kubectl.kubernetes.io/default-container: {{ $it.name }}
    {{- with $it.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ $it.serviceAccount.name }}
  # IRSA and Pod Identity bring tokens of their own; nothing here talks to Kubernetes.
  automountServiceAccountToken: false
  # The addresses of all services of the namespace as variables are of no use, and some begin with RAPIDS_.
  enableServiceLinks: false
  # The program has shutdown.grace; the rest is for the kubelet.
  terminationGracePeriodSeconds: {{ add (int $it.shutdownGraceSeconds) 10 }}
  {{- include "rapids.podSettings" (dict "root" $root "it" $it) | nindent 2 }}
  {{- if $it.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range $it.topologySpread.keys }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $it.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "rapids.selectorLabels" (dict "root" $root "component" $it.name) | nindent 10 }}
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  containers:
    - name: {{ $it.name }}
      image: {{ include "rapids.image" (dict "root" $root "image" $it.image) }}
      imagePullPolicy: {{ $it.image.pullPolicy }}
      env:
        - name: RAPIDS_CONFIG
          value: /etc/rapids/config.toml
        {{- include "rapids.awsEnv" $root | nindent 8 }}
        {{- with $it.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $it.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: admin
          containerPort: 9464
      startupProbe:
        httpGet: {path: /livez, port: admin}
        {{- toYaml $it.startupProbe | nindent 8 }}
      livenessProbe:
        httpGet: {path: /livez, port: admin}
        {{- toYaml $it.livenessProbe | nindent 8 }}
      readinessProbe:
        httpGet: {path: /readyz, port: admin}
        {{- toYaml $it.readinessProbe | nindent 8 }}
      resources:
        {{- toYaml $it.resources | nindent 8 }}
      securityContext:
        {{- toYaml $it.securityContext | nindent 8 }}
      # A refused configuration is told on standard error: `kubectl describe pod` shows it.
      terminationMessagePolicy: FallbackToLogsOnError
      volumeMounts:
        - name: config
          mountPath: /etc/rapids
          readOnly: true
        - name: tmp
          mountPath: /tmp
        {{- with $it.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ $it.fullname }}
    - name: tmp
      emptyDir:
        sizeLimit: {{ $it.tmpSizeLimit }}
    {{- with $it.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* root, it: what every pod has, those of bootstrap and test too. */}}
{{- define "rapids.podSettings" -}}
{{- with .root.Values.global.imagePullSecrets -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{ end -}}
securityContext:
  {{- toYaml .it.podSecurityContext | nindent 2 }}
{{- with .it.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .it.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .it.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .it.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
The instance's role is not the pod's: without the last one, a pod without credentials waits for metadata that nobody lets
it have, instead of saying what is missing.
*/}}
{{- define "rapids.awsEnv" -}}
{{- with .Values.aws.region -}}
- name: AWS_REGION
  value: {{ . | quote }}
{{ end -}}
{{- with .Values.aws.endpointUrl -}}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{ end -}}
- name: AWS_EC2_METADATA_DISABLED
  value: "true"
{{- end -}}

{{/* root, arguments, name: a container of the `rapids` command. */}}
{{- define "rapids.cliContainer" -}}
{{- $cli := .root.Values.cli -}}
- name: {{ .name }}
  image: {{ include "rapids.image" (dict "root" .root "image" $cli.image) }}
  imagePullPolicy: {{ $cli.image.pullPolicy }}
  args:
    {{- range .arguments }}
    - {{ . | quote }}
    {{- end }}
  env:
    - name: RAPIDS_STAGE
      value: {{ .root.Values.stage | quote }}
    {{- include "rapids.awsEnv" .root | nindent 4 }}
    {{- with .root.Values.defaults.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .root.Values.defaults.extraEnvFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  resources:
    {{- toYaml $cli.resources | nindent 4 }}
  securityContext:
    {{- toYaml .root.Values.defaults.securityContext | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
{{- end -}}
