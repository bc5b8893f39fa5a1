{{- define "rapids.name" -}}
{{- .Values.nameOverride | default .Chart.Name -}}
{{- end -}}

{{/* Release and chart, but not twice the same: a release called rapids has rapids-location. */}}
{{- define "rapids.fullname" -}}
{{- $name := include "rapids.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods of a component. Never changes: selectors of Deployments cannot. */}}
{{- define "rapids.selectorLabels" -}}
app.kubernetes.io/name: {{ include "rapids.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* A tag may be longer than a label's value, and begin or end with what that may not. */}}
{{- define "rapids.versionLabel" -}}
{{- .version | default .root.Chart.AppVersion | trimAll "-_." | trunc 63 | trimAll "-_." | quote -}}
{{- end -}}

{{/* Of a pod: without the chart's version, with which every pod would be replaced at each upgrade of the chart. */}}
{{- define "rapids.podLabels" -}}
{{ include "rapids.selectorLabels" . }}
app.kubernetes.io/version: {{ include "rapids.versionLabel" . }}
app.kubernetes.io/part-of: {{ include "rapids.name" .root }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* root, component, and version where a resource has one. */}}
{{- define "rapids.labels" -}}
{{ include "rapids.selectorLabels" . }}
app.kubernetes.io/version: {{ include "rapids.versionLabel" . }}
app.kubernetes.io/part-of: {{ include "rapids.name" .root }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Of a resource: those of all, and its own (extra). */}}
{{- define "rapids.annotations" -}}
{{- $all := merge (dict) (.extra | default dict) .root.Values.commonAnnotations -}}
{{- with $all -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* image, root: registry/repository:tag@digest. */}}
{{- define "rapids.image" -}}
{{- $registry := .root.Values.global.imageRegistry | default .image.registry -}}
{{- $repository := ternary .image.repository (printf "%s/%s" $registry .image.repository) (empty $registry) -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Of bootstrap and test: root, account, component. */}}
{{- define "rapids.accountName" -}}
{{- if .account.create -}}
{{- .account.name | default (printf "%s-%s" (include "rapids.fullname" .root) .component) -}}
{{- else -}}
{{- .account.name | default "default" -}}
{{- end -}}
{{- end -}}
