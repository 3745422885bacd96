{{/* Labels and the metadata that all objects share. */}}

{{/* A name as the value of a label; if too long, it is truncated and a hash appended. */}}
{{- define "namespace.label" -}}
{{- if le (len (default "" .)) 63 }}{{ . }}{{ else }}{{ printf "%s-%s" (trunc 54 . | trimAll "-.") (sha256sum . | trunc 8) }}{{ end -}}
{{- end }}

{{/* Takes root and name, and optionally additional labels and annotations. */}}
{{- define "namespace.metadata" -}}
{{- $own := dict "app.kubernetes.io/name" (include "namespace.label" .name) -}}
{{- $_ := set $own "app.kubernetes.io/instance" .root.Release.Namespace -}}
{{- $_ := set $own "app.kubernetes.io/component" "namespace" -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "agent-fleet" -}}
{{- $labels := mergeOverwrite (default dict .root.Values.commonLabels | deepCopy) $own (default dict .labels) -}}
{{- $metadata := dict "name" .name "namespace" .root.Release.Namespace "labels" $labels -}}
{{- with .annotations }}{{ $_ := set $metadata "annotations" . }}{{ end -}}
{{- include "namespace.json" $metadata -}}
{{- end }}

{{/* JSON that is YAML too: control characters from U+007F on are raw in JSON, and YAML refuses them. */}}
{{- define "namespace.json" -}}
{{- $text := toJson . -}}
{{- if regexMatch "[\x7f-\u009f]" $text -}}
{{- range untilStep 127 160 1 }}{{ $text = replace (printf "%c" .) (printf "\\u%04x" .) $text }}{{ end -}}
{{- end -}}
{{- $text -}}
{{- end }}

{{/* Null deletes the chart's defaults, and so does `helm upgrade --reuse-values` with those of an older chart. */}}
{{- define "namespace.present" -}}
{{- $gone := list -}}
{{- range list "networkPolicy" "quota" "limits" "secretStore" "alerts" "dashboard" }}{{ if not (kindIs "map" (index $.Values .)) }}{{ $gone = append $gone . }}{{ end }}{{ end -}}
{{- if kindIs "map" .Values.secretStore }}{{ if not (kindIs "map" .Values.secretStore.serviceAccount) }}{{ $gone = append $gone "secretStore.serviceAccount" }}{{ end }}{{ end -}}
{{- if kindIs "map" .Values.alerts }}{{ if not (kindIs "map" .Values.alerts.severities) }}{{ $gone = append $gone "alerts.severities" }}{{ end }}{{ end -}}
{{- if $gone }}{{ fail (printf "\n%s: missing: remove the null, or use --reset-then-reuse-values" (join ", " $gone)) }}{{ end -}}
{{- end }}
