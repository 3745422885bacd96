{{/* A Job's pods cannot be changed: what has changed has another name. */}}
{{- define "agent.jobName" -}}
{{- $template := (include "agent.template" . | fromYaml).template -}}
{{- $_ := unset $template.metadata.labels "app.kubernetes.io/managed-by" -}}
{{- $revision := $template | toPrettyJson | sha256sum | trunc 8 -}}
{{- include "agent.suffixed" (dict "name" (include "agent.fullname" .) "suffix" (printf "-%s" $revision)) -}}
{{- end }}
