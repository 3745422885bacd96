{{/* Names, labels and the metadata that all objects share. */}}

{{/* In an umbrella chart, an alias tells two agents of a release apart. */}}
{{- define "agent.fullname" -}}
{{- $own := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (or .Chart.IsRoot (eq .Chart.Name "agent")) -}}
{{- default $own .Values.fullnameOverride -}}
{{- end }}

{{- define "agent.serviceAccountName" -}}
{{- default (include "agent.fullname" .) .Values.serviceAccount.name -}}
{{- end }}

{{/* The selector of exactly this workload's pods; it never changes. */}}
{{- define "agent.selector" -}}
{{- $name := include "agent.fullname" . -}}
{{- dict "app.kubernetes.io/name" $name "app.kubernetes.io/instance" $name | toJson -}}
{{- end }}

{{/* No helm.sh/chart label: upgrading only the chart would roll every pod. */}}
{{- define "agent.labels" -}}
{{- $own := include "agent.selector" . | fromJson -}}
{{- $_ := set $own "app.kubernetes.io/component" .Values.component -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "agent-fleet" -}}
{{- merge $own (default dict .Values.commonLabels) | toJson -}}
{{- end }}

{{/* Labels of pods and of what holds them: on all objects, each new image would change all of them. */}}
{{- define "agent.versioned" -}}
{{- set (include "agent.labels" . | fromJson) "app.kubernetes.io/version" (include "agent.version" .) | toJson -}}
{{- end }}

{{/* Takes root, and optionally name and additional labels and annotations. */}}
{{- define "agent.metadata" -}}
{{- $metadata := dict "name" (default (include "agent.fullname" .root) .name) -}}
{{- $_ := set $metadata "namespace" .root.Release.Namespace -}}
{{- $_ := set $metadata "labels" (mergeOverwrite (include "agent.labels" .root | fromJson) (default dict .labels)) -}}
{{- with .annotations }}{{ $_ := set $metadata "annotations" . }}{{ end -}}
{{- include "agent.json" $metadata -}}
{{- end }}

{{- define "agent.tag" -}}
{{- if .Values.image.tag }}{{ .Values.image.tag }}{{ else if not .Values.image.digest }}{{ .Chart.AppVersion }}{{ end -}}
{{- end }}

{{- define "agent.image" -}}
{{- $tag := include "agent.tag" . -}}
{{- .Values.image.repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end }}

{{- define "agent.version" -}}
{{- $digest := default "" .Values.image.digest | trimPrefix "sha256:" | trunc 12 -}}
{{- default (coalesce (include "agent.tag" .) $digest | trunc 63 | trimAll "._-") .Values.version -}}
{{- end }}

{{/* A name with a suffix; if too long, it is truncated and a hash inserted. */}}
{{- define "agent.suffixed" -}}
{{- $whole := print .name .suffix -}}
{{- if le (len $whole) 63 -}}
{{- $whole -}}
{{- else -}}
{{- $room := sub 54 (len .suffix) | int -}}
{{- printf "%s-%s%s" (trunc $room .name | trimAll "-.") (sha256sum $whole | trunc 8) .suffix -}}
{{- end -}}
{{- end }}

{{- define "agent.headlessName" -}}
{{- include "agent.suffixed" (dict "name" (include "agent.fullname" .) "suffix" "-headless") -}}
{{- end }}

{{/* The Service's default port: the one named http, else the first. */}}
{{- define "agent.servicePort" -}}
{{- $port := dict -}}
{{- range .Values.ports }}{{ if or (empty $port) (eq .name "http") }}{{ $port = . }}{{ end }}{{ end -}}
{{- int64 (default $port.containerPort $port.servicePort) -}}
{{- end }}

{{/* JSON that is YAML too: control characters from U+007F on are raw in JSON, and YAML refuses them. */}}
{{- define "agent.json" -}}
{{- $text := toJson . -}}
{{- if regexMatch "[\x7f-\u009f]" $text -}}
{{- range untilStep 127 160 1 }}{{ $text = replace (printf "%c" .) (printf "\\u%04x" .) $text }}{{ end -}}
{{- end -}}
{{- $text -}}
{{- end }}

{{/* Null deletes the chart's defaults, and so does `helm upgrade --reuse-values` with those of an older chart. */}}
{{- define "agent.present" -}}
{{- $gone := list -}}
{{- range list "image" "startupProbe" "readinessProbe" "livenessProbe" "podSecurityContext" "tmp" "autoscaling" "keda" "canary" "podDisruptionBudget" "serviceAccount" "rbac" "sandbox" "service" "networkPolicy" "serviceMonitor" "httpRoute" "ingress" "certificate" "tests" }}{{ if not (kindIs "map" (index $.Values .)) }}{{ $gone = append $gone . }}{{ end }}{{ end -}}
{{- if kindIs "map" .Values.canary }}{{ if not (kindIs "map" .Values.canary.analysis) }}{{ $gone = append $gone "canary.analysis" }}{{ end }}{{ end -}}
{{- if kindIs "map" .Values.tests }}{{ if not (kindIs "map" .Values.tests.image) }}{{ $gone = append $gone "tests.image" }}{{ end }}{{ end -}}
{{- if $gone }}{{ fail (printf "\n%s: missing: remove the null, or use --reset-then-reuse-values" (join ", " $gone)) }}{{ end -}}
{{- end }}
