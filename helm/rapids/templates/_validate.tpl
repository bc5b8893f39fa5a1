{{/* What a schema cannot say, or not so that it is understood. All mistakes at once, each with its key. */}}
{{- define "rapids.validate" -}}
{{- $wrong := list -}}
{{- $values := .root.Values -}}
{{- $decided := dict "stage" "stage" "river" "river" "variant" "versions" "shadow" "versions.NAME.mode: shadow" "shutdown" "shutdownGraceSeconds" "admin" "nothing: the port is 9464" -}}
{{- if eq (lower $values.stage) "dlq" -}}
{{- $wrong = append $wrong (printf "stage: %s is the suffix of dead-letter queues: choose another, for example dev" $values.stage) -}}
{{- end -}}
{{- range $key, $_ := $values.commonLabels -}}
{{- $wrong = concat $wrong (include "rapids.labelTaken" (dict "path" "commonLabels" "key" $key) | fromYamlArray) -}}
{{- end -}}
{{- $rivers := dict -}}
{{- $accounts := dict -}}
{{- range $name, $it := .components -}}
{{- if and $it.hpa.enabled $it.keda.enabled -}}
{{- $wrong = append $wrong (printf "%s: hpa.enabled and keda.enabled exclude each other: two autoscalers fight over the replicas" $it.path) -}}
{{- end -}}
{{- range tuple $it.hpa $it.keda -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- $wrong = append $wrong (printf "%s: minReplicas %v is more than maxReplicas %v" $it.path .minReplicas .maxReplicas) -}}
{{- end -}}
{{- end -}}
{{- if $it.single -}}
{{- if gt (int $it.replicas) 1 -}}
{{- $wrong = append $wrong (printf "%s.replicas: there is never more than one process of it (single): set 1, or 0" $it.path) -}}
{{- end -}}
{{- if or $it.hpa.enabled $it.keda.enabled -}}
{{- $wrong = append $wrong (printf "%s: hpa and keda would make more than one process of it (single): leave both off" $it.path) -}}
{{- end -}}
{{- if ne (dig "strategy" "type" "" $it) "Recreate" -}}
{{- if ne (dig "strategy" "rollingUpdate" "maxSurge" 1 $it | toString) "0" -}}
{{- $wrong = append $wrong (printf "%s.strategy: the new process would run beside the old one, and there is never more than one of it (single): leave it out, or set rollingUpdate.maxSurge to 0 and maxUnavailable to 1" $it.path) -}}
{{- end -}}
{{- end -}}
{{- if eq ($it.mode | default "") "canary" -}}
{{- $wrong = append $wrong (printf "%s.mode: a canary is a second process on the river, and there is never more than one (single): use variant or shadow" $it.path) -}}
{{- end -}}
{{- end -}}
{{- if and $it.keda.enabled (not $values.aws.region) -}}
{{- $wrong = append $wrong (printf "%s.keda.enabled: KEDA has to know the region: set aws.region" $it.path) -}}
{{- end -}}
{{- if and $it.keda.enabled (not $values.keda.authentication.create) (not $values.keda.authentication.name) -}}
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
{{- if and (eq $it.kind "river") (eq $it.program "archive") (not (hasKey $it.config "archive")) -}}
{{- $wrong = append $wrong (printf "%s.config.archive: the archive needs a place, for the file system of a pod cannot be written to: set s3://bucket/prefix, or a folder of a volume of yours (extraVolumes)" $it.path) -}}
{{- end -}}
{{- range $key, $_ := $it.podLabels -}}
{{- $wrong = concat $wrong (include "rapids.labelTaken" (dict "path" (printf "%s.podLabels" $it.path) "key" $key) | fromYamlArray) -}}
{{- end -}}
{{- if gt (len $it.fullname) 63 -}}
{{- $wrong = append $wrong (printf "%s: the name %s is longer than 63 characters: shorten it, or set fullnameOverride" $it.path $it.fullname) -}}
{{- end -}}
{{- if and (not $it.serviceAccount.create) (eq $it.serviceAccount.name "default") -}}
{{- $wrong = append $wrong (printf "%s.serviceAccount.name is needed where serviceAccount.create is false" $it.path) -}}
{{- end -}}
{{- if $it.serviceAccount.create -}}
{{- $annotations := $it.serviceAccount.annotations | toJson -}}
{{- with get $accounts $it.serviceAccount.name -}}
{{- if ne .annotations $annotations -}}
{{- $wrong = append $wrong (printf "%s.serviceAccount: %s makes %s too, with other annotations: give them two names, or the same annotations" $it.path .path $it.serviceAccount.name) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $accounts $it.serviceAccount.name (dict "path" $it.path "annotations" $annotations) -}}
{{- end -}}
{{- if eq $it.kind "river" -}}
{{- if has (lower $it.river) (list "rapids" "control") -}}
{{- $wrong = append $wrong (printf "%s.river: the platform's own queues are called %s: choose another" $it.path $it.river) -}}
{{- end -}}
{{- /* SQS has 80 characters, for the dead-letter queue too. */ -}}
{{- $most := sub 75 (len $values.stage) -}}
{{- if gt (len $it.river) (int $most) -}}
{{- $wrong = append $wrong (printf "%s.river: %s is longer than %d characters, and its queues could not be made: shorten it" $it.path $it.river $most) -}}
{{- end -}}
{{- if ne ($it.mode | default "") "canary" -}}
{{- with get $rivers $it.river -}}
{{- $wrong = append $wrong (printf "%s.river: %s is the river of %s; to share its events, be a version with mode: canary" $it.path $it.river .) -}}
{{- end -}}
{{- $_ := set $rivers $it.river $it.path -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $values.keda.authentication -}}
{{- if and .roleArn (ne .identityOwner "keda") -}}
{{- $wrong = append $wrong "keda.authentication.roleArn: only with identityOwner: keda" -}}
{{- end -}}
{{- end -}}
{{- if $values.prometheusRule.disabled -}}
{{- $alerts := list -}}
{{- range (.root.Files.Get "files/alerts.yaml" | fromYaml).groups -}}
{{- range .rules -}}{{- $alerts = append $alerts (.alert | default "") -}}{{- end -}}
{{- end -}}
{{- range $values.prometheusRule.disabled -}}
{{- if not (has . $alerts) -}}
{{- $wrong = append $wrong (printf "prometheusRule.disabled: there is no alert %s: see files/alerts.yaml" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n\nthe values have %d problem(s):\n  %s" (len $wrong) (join "\n  " $wrong)) -}}
{{- end -}}
{{- end -}}

{{/* path, key: a list with what is wrong with the key of a label. */}}
{{- define "rapids.labelTaken" -}}
{{- if has .key (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/version" "app.kubernetes.io/part-of" "app.kubernetes.io/managed-by" "helm.sh/chart") -}}
{{- list (printf "%s: the chart writes the label %s, and selects by such: choose another" .path .key) | toYaml -}}
{{- else -}}
[]
{{- end -}}
{{- end -}}
