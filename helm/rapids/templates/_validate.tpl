{{/* What a schema cannot say, or not so that it is understood. All mistakes at once, each with its key. */}}
{{- define "rapids.validate" -}}
{{- $wrong := list -}}
{{- $decided := dict "stage" "stage" "river" "river" "variant" "versions" "shadow" "versions.NAME.mode: shadow" "shutdown" "shutdownGraceSeconds" "admin" "nothing: the port is 9464" -}}
{{- $rivers := dict -}}
{{- range $name, $it := .components -}}
{{- if and $it.hpa.enabled $it.keda.enabled -}}
{{- $wrong = append $wrong (printf "%s: hpa.enabled and keda.enabled exclude each other: two autoscalers fight over the replicas" $it.path) -}}
{{- end -}}
{{- range tuple $it.hpa $it.keda -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- $wrong = append $wrong (printf "%s: minReplicas %v is more than maxReplicas %v" $it.path .minReplicas .maxReplicas) -}}
{{- end -}}
{{- end -}}
{{- if and $it.keda.enabled (not $.root.Values.aws.region) -}}
{{- $wrong = append $wrong (printf "%s.keda.enabled: KEDA has to know the region: set aws.region" $it.path) -}}
{{- end -}}
{{- if and $it.keda.enabled (not $.root.Values.keda.authentication.create) (not $.root.Values.keda.authentication.name) -}}
{{- $wrong = append $wrong (printf "%s.keda.enabled: keda.authentication.name is needed where keda.authentication.create is false" $it.path) -}}
{{- end -}}
{{- range $key, $value := $it.config -}}
{{- if and (kindIs "slice" $value) (kindIs "map" (first $value)) -}}
{{- $wrong = append $wrong (printf "%s.config.%s: a list of tables is no setting of any service" $it.path $key) -}}
{{- end -}}
{{- with get $decided $key -}}
{{- $wrong = append $wrong (printf "%s.config.%s: the chart writes this setting; set %s" $it.path $key .) -}}
{{- end -}}
{{- end -}}
{{- if gt (len $it.fullname) 63 -}}
{{- $wrong = append $wrong (printf "%s: the name %s is longer than 63 characters" $it.path $it.fullname) -}}
{{- end -}}
{{- if and (not $it.serviceAccount.create) (eq $it.serviceAccount.name "default") -}}
{{- $wrong = append $wrong (printf "%s.serviceAccount.name is needed where serviceAccount.create is false" $it.path) -}}
{{- end -}}
{{- if and (eq $it.kind "river") (has (lower $it.river) (list "rapids" "control")) -}}
{{- $wrong = append $wrong (printf "%s.river: the platform's own queues are called %s" $it.path $it.river) -}}
{{- end -}}
{{- if and (eq $it.kind "river") (ne ($it.mode | default "") "canary") -}}
{{- with get $rivers $it.river -}}
{{- $wrong = append $wrong (printf "%s.river: %s is the river of %s; to share its events, be a version with mode: canary" $it.path $it.river .) -}}
{{- end -}}
{{- $_ := set $rivers $it.river $it.path -}}
{{- end -}}
{{- end -}}
{{- with .root.Values.keda.authentication -}}
{{- if and .roleArn (ne .identityOwner "keda") -}}
{{- $wrong = append $wrong "keda.authentication.roleArn: only with identityOwner: keda" -}}
{{- end -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n\nthe values have %d problem(s):\n  %s" (len $wrong) (join "\n  " $wrong)) -}}
{{- end -}}
{{- end -}}
