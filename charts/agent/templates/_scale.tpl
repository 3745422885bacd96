{{/* What controls the number of replicas, and the maximum. */}}

{{- define "agent.most" -}}
{{- if .Values.keda.enabled }}{{ int64 .Values.keda.maxReplicas }}
{{- else if .Values.autoscaling.enabled }}{{ int64 .Values.autoscaling.maxReplicas }}
{{- else }}{{ int64 .Values.replicaCount }}
{{- end -}}
{{- end }}

{{- define "agent.scaleTarget" -}}
{{- dict "apiVersion" "apps/v1" "kind" .Values.kind "name" (include "agent.fullname" .) | toJson -}}
{{- end }}

{{/* Up at once, down slowly: moving a conversation is cheap, a cold pod is not. */}}
{{- define "agent.behavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  selectPolicy: Max
  policies:
    - {type: Percent, value: 100, periodSeconds: 15}
    - {type: Pods, value: 4, periodSeconds: 15}
scaleDown:
  stabilizationWindowSeconds: 300
  selectPolicy: Max
  policies:
    - {type: Percent, value: 10, periodSeconds: 60}
{{- end }}
