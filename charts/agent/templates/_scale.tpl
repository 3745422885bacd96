{{/* What controls the number of replicas, and the maximum. */}}

{{- define "agent.most" -}}
{{- if .Values.keda.enabled }}{{ int64 .Values.keda.maxReplicas }}
{{- else if .Values.autoscaling.enabled }}{{ int64 .Values.autoscaling.maxReplicas }}
{{- else }}{{ int64 .Values.replicaCount }}
{{- end -}}
{{- end }}

{{/* Replicas of the Deployment itself; nothing if an autoscaler controls their number. Beside a Rollout there are none, and on the way
out of it an autoscaler needs one to begin with. */}}
{{- define "agent.replicas" -}}
{{- $scaled := or .Values.autoscaling.enabled .Values.keda.enabled -}}
{{- if and .Values.canary.enabled (not .Values.canary.moving) -}}
0
{{- else if and $scaled .Values.canary.enabled (eq .Values.canary.moving "out") -}}
1
{{- else if not $scaled -}}
{{- toJson .Values.replicaCount -}}
{{- end -}}
{{- end }}

{{/* Requests of the generic runtime that let it work, and those that wait for an answer. */}}
{{- define "agent.ofWork" -}}
{{- if .Values.config }},{{ (.Files.Get "files/routes.json" | fromJson).work }}{{ end -}}
{{- end }}

{{- define "agent.ofAnswers" -}}
{{- if .Values.config }},{{ (.Files.Get "files/routes.json" | fromJson).answers }}{{ end -}}
{{- end }}

{{- define "agent.scaleTarget" -}}
{{- if and .Values.canary.enabled (ne .Values.canary.moving "out") -}}
{{- dict "apiVersion" "argoproj.io/v1alpha1" "kind" "Rollout" "name" (include "agent.fullname" .) | toJson -}}
{{- else -}}
{{- dict "apiVersion" "apps/v1" "kind" .Values.kind "name" (include "agent.fullname" .) | toJson -}}
{{- end -}}
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
