{{/* A Job's pods cannot be changed: what has changed has another name. */}}
{{- define "agent.jobName" -}}
{{- $template := (include "agent.template" . | fromYaml).template -}}
{{- $_ := unset $template.metadata.labels "app.kubernetes.io/managed-by" -}}
{{- $revision := $template | toPrettyJson | sha256sum | trunc 8 -}}
{{- include "agent.suffixed" (dict "name" (include "agent.fullname" .) "suffix" (printf "-%s" $revision)) -}}
{{- end }}

{{/* How often pods are started again: where exit codes tell failures from crashes, as often as the cluster ends them. */}}
{{- define "agent.jobSpec" }}
  {{- with .Values.activeDeadlineSeconds }}
  activeDeadlineSeconds: {{ int . }}
  {{- end }}
  {{- if .Values.failOnExitCodes }}
  backoffLimit: 20
  podReplacementPolicy: Failed
  podFailurePolicy:
    rules:
      - {action: FailJob, onExitCodes: {containerName: {{ toJson .Values.component }}, operator: In, values: {{ toJson .Values.failOnExitCodes }}}}
      - {action: Ignore, onPodConditions: [{type: DisruptionTarget, status: "True"}]}
  {{- else }}
  backoffLimit: 3
  {{- end }}
{{- end }}
