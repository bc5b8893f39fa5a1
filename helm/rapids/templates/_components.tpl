{{/*
Writes src over dst, in dst. Lists and texts are replaced, maps are gone into. (mergeOverwrite takes an empty value for
none in some versions, and `enabled: false` is a value.) Null takes a key away where keys are anybody's, as in `config`
and `resources`; what templates read stays as it was.
*/}}
{{- define "rapids.merge" -}}
{{- $dst := .dst -}}
{{- $open := .open | default false -}}
{{- $read := list "image" "serviceAccount" "podDisruptionBudget" "topologySpread" "strategy" "hpa" "keda" -}}
{{- range $key, $value := .src -}}
{{- if and (kindIs "map" $value) (kindIs "map" (get $dst $key)) -}}
{{- include "rapids.merge" (dict "dst" (get $dst $key) "src" $value "open" (or $open (not (has $key $read)))) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $dst $key (deepCopy $value) -}}
{{- else if $open -}}
{{- $_ := unset $dst $key -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* root, name, kind, service and layers: one component as it is in the end. */}}
{{- define "rapids.component" -}}
{{- $it := deepCopy .root.Values.defaults -}}
{{- $own := dict "hpa" dict "keda" dict "strategy" dict -}}
{{- range .layers -}}
{{- include "rapids.merge" (dict "dst" $it "src" (omit . "versions")) -}}
{{- include "rapids.merge" (dict "dst" $own "src" (pick . "replicas" "hpa" "keda" "strategy")) -}}
{{- end -}}
{{- if $it.single -}}
{{- /* What is for all is not for it; what is said of itself is, and is refused where it is more than one. */ -}}
{{- $_ := set $it "replicas" (ternary $own.replicas (min 1 (int $it.replicas)) (hasKey $own "replicas")) -}}
{{- $_ := set $it.hpa "enabled" ($own.hpa.enabled | default false) -}}
{{- $_ := set $it.keda "enabled" ($own.keda.enabled | default false) -}}
{{- if not $own.strategy -}}{{- $_ := set $it "strategy" (dict "type" "Recreate") -}}{{- end -}}
{{- end -}}
{{- if eq $it.strategy.type "Recreate" -}}{{- $_ := unset $it.strategy "rollingUpdate" -}}{{- end -}}
{{- $fullname := printf "%s-%s" (include "rapids.fullname" .root) (trimPrefix "rapids-" .name) -}}
{{- $_ := set $it "name" .name -}}
{{- $_ := set $it "kind" .kind -}}
{{- $_ := set $it "program" .service -}}
{{- $_ := set $it "path" .path -}}
{{- $_ := set $it "fullname" $fullname -}}
{{- if not $it.image.repository -}}
{{- $_ := set $it.image "repository" (printf "rapids/%s" .service) -}}
{{- end -}}
{{- $_ := set $it "replicated" (gt (int (ternary $it.hpa.minReplicas (ternary $it.keda.minReplicas $it.replicas $it.keda.enabled) $it.hpa.enabled)) 1) -}}
{{- $_ := set $it.serviceAccount "name" (include "rapids.accountName" (dict "root" .root "account" $it.serviceAccount "component" (trimPrefix "rapids-" .name))) -}}
{{- toYaml $it -}}
{{- end -}}

{{/*
All components that are enabled, by name: the reader, the control plane, the services and their versions.
A version drinks from the service's river as a canary, from one of its own as a variant or a shadow.
*/}}
{{- define "rapids.components" -}}
{{- $root := . -}}
{{- $all := dict -}}
{{- $one := dict "root" $root "name" "rapids-reader" "kind" "reader" "service" "rapids-reader" "path" "reader" "layers" (list .Values.reader) -}}
{{- $_ := set $all "rapids-reader" (include "rapids.component" $one | fromYaml) -}}
{{- $one := dict "root" $root "name" "control-plane" "kind" "control-plane" "service" "control-plane" "path" "controlPlane" "layers" (list .Values.controlPlane) -}}
{{- $_ := set $all "control-plane" (include "rapids.component" $one | fromYaml) -}}
{{- range $service, $values := .Values.services -}}
{{- $path := printf "services.%s" $service -}}
{{- $one := dict "root" $root "name" $service "kind" "river" "service" $service "path" $path "layers" (list $values) -}}
{{- $base := include "rapids.component" $one | fromYaml -}}
{{- include "rapids.add" (dict "all" $all "it" $base) -}}
{{- range $version, $differs := $values.versions -}}
{{- $name := printf "%s-%s" $service $version -}}
{{- $one := dict "root" $root "name" $name "kind" "river" "service" $service "path" (printf "%s.versions.%s" $path $version) "layers" (list $values $differs) -}}
{{- $it := include "rapids.component" $one | fromYaml -}}
{{- if not (hasKey $differs "serviceAccount") -}}
{{- $_ := set $it "serviceAccount" (dict "create" false "name" $base.serviceAccount.name) -}}
{{- end -}}
{{- if not $base.enabled -}}{{- $_ := set $it "enabled" false -}}{{- end -}}
{{- if ne $it.mode "canary" -}}
{{- $_ := set $it "river" (printf "%s-%s" $values.river $version) -}}
{{- $_ := set $it "variant" $version -}}
{{- end -}}
{{- include "rapids.add" (dict "all" $all "it" $it) -}}
{{- end -}}
{{- end -}}
{{- $enabled := dict -}}
{{- range $name, $it := $all -}}
{{- if $it.enabled -}}{{- $_ := set $enabled $name $it -}}{{- end -}}
{{- end -}}
{{- toYaml $enabled -}}
{{- end -}}

{{/* By the name that its objects have: rapids-reader and reader are one. */}}
{{- define "rapids.add" -}}
{{- $it := .it -}}
{{- if has (trimPrefix "rapids-" $it.name) (list "test" "bootstrap") -}}
{{- fail (printf "\n\n%s: the name %s is that of the chart's own %s: choose another" $it.path $it.name (trimPrefix "rapids-" $it.name)) -}}
{{- end -}}
{{- range $_, $other := .all -}}
{{- if eq $other.fullname $it.fullname -}}
{{- fail (printf "\n\n%s: the name %s is taken by %s: choose another" $it.path $it.fullname $other.path) -}}
{{- end -}}
{{- end -}}
{{- $_ := set .all $it.name $it -}}
{{- end -}}
