{{/* prefix, table: a line `a.b = value` for each setting. JSON's texts, numbers and lists are TOML's too. */}}
{{- define "rapids.toml" -}}
{{- $prefix := .prefix -}}
{{- range $key, $value := .table -}}
{{- $key := ternary $key ($key | toJson) (regexMatch "^[A-Za-z0-9_-]+$" $key) -}}
{{- if kindIs "invalid" $value -}}
{{- /* As if it was not there: Helm takes some of these away itself, and some not. */ -}}
{{- else if kindIs "map" $value -}}
{{- include "rapids.toml" (dict "prefix" (printf "%s%s." $prefix $key) "table" $value) -}}
{{- else -}}
{{- printf "%s%s = %s\n" $prefix $key (toJson $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* root, it: the file of settings of a component: what the chart decides, and what it is told. */}}
{{- define "rapids.config" -}}
{{- $it := .it -}}
{{- $config := deepCopy $it.config -}}
{{- $_ := set $config "stage" .root.Values.stage -}}
{{- $_ := set $config "shutdown" (dict "grace" (printf "%ds" (int $it.shutdownGraceSeconds))) -}}
{{- if eq $it.kind "river" -}}
{{- $_ := set $config "river" $it.river -}}
{{- with $it.variant }}{{- $_ := set $config "variant" . -}}{{- end -}}
{{- if eq ($it.mode | default "") "shadow" }}{{- $_ := set $config "shadow" true -}}{{- end -}}
{{- end -}}
{{- include "rapids.toml" (dict "prefix" "" "table" $config) -}}
{{- end -}}
