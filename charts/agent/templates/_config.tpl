{{/* The configuration, byte for byte as the generator writes it, and its name with the hash. */}}

{{- define "agent.numberOfPort" -}}
{{- range .ports }}{{ if eq .name $.name }}{{ int64 .containerPort }}{{ end }}{{ end -}}
{{- end }}

{{/* agent.json: `config`, completed from other values. */}}
{{- define "agent.config" -}}
{{- $filled := dict "contract" 1 -}}
{{- $_ := set $filled "agent" (dict "name" (include "agent.fullname" .) "namespace" .Release.Namespace) -}}
{{- $_ := set $filled "prompt" (dict "system" (dict "file" "system-prompt.md")) -}}
{{- $grace := sub (sub .Values.terminationGracePeriodSeconds .Values.preStopSleepSeconds) 5 -}}
{{- $server := dict "shutdownGraceSeconds" (max 0 $grace) -}}
{{- with include "agent.numberOfPort" (dict "ports" .Values.ports "name" "http") }}{{ $_ := set $server "port" (int64 .) }}{{ end -}}
{{- with include "agent.numberOfPort" (dict "ports" .Values.ports "name" "metrics") }}{{ $_ := set $server "metricsPort" (int64 .) }}{{ end -}}
{{- $_ := set $filled "server" $server -}}
{{- merge (deepCopy .Values.config) $filled | toPrettyJson -}}
{{- end }}

{{/* The data of the ConfigMap; empty if there is nothing to configure. */}}
{{- define "agent.data" -}}
{{- $data := default dict .Values.configFiles | deepCopy -}}
{{- if .Values.config -}}
{{- $_ := set $data "agent.json" (printf "%s\n" (include "agent.config" .)) -}}
{{- $_ := set $data "system-prompt.md" .Values.prompt -}}
{{- end -}}
{{- toJson $data -}}
{{- end }}

{{- define "agent.configName" -}}
{{- printf "%s-config-%s" (include "agent.fullname" .) (include "agent.data" . | fromJson | toPrettyJson | sha256sum | trunc 8) -}}
{{- end }}
