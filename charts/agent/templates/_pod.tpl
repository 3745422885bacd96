{{/* The pod template that Deployment, StatefulSet and Job share: restricted, spread, drained before it stops. */}}

{{- define "agent.template" }}
  template:
    metadata:
      {{- $labels := mergeOverwrite (default dict .Values.podLabels | deepCopy) (include "agent.versioned" . | fromJson) (dict "app" (include "agent.fullname" .)) }}
      labels: {{ toJson $labels }}
      {{- with .Values.podAnnotations }}
      annotations: {{ include "agent.json" . }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "agent.serviceAccountName" . | toJson }}
      automountServiceAccountToken: {{ or (not (empty .Values.rbac.rules)) .Values.sandbox.enabled }}
      enableServiceLinks: false
      securityContext: {{ include "agent.podSecurity" . }}
      terminationGracePeriodSeconds: {{ toJson .Values.terminationGracePeriodSeconds }}
      {{- if has .Values.kind (list "Job" "CronJob") }}
      restartPolicy: Never
      {{- end }}
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets: {{ toJson . }}
      {{- end }}
      {{- with .Values.priorityClassName }}
      priorityClassName: {{ toJson . }}
      {{- end }}
      {{- with .Values.runtimeClassName }}
      runtimeClassName: {{ toJson . }}
      {{- end }}
      {{- with .Values.nodeSelector }}
      nodeSelector: {{ toJson . }}
      {{- end }}
      {{- with .Values.tolerations }}
      tolerations: {{ toJson . }}
      {{- end }}
      {{- with .Values.affinity }}
      affinity: {{ toJson . }}
      {{- end }}
      {{- with .Values.hostAliases }}
      hostAliases: {{ toJson . }}
      {{- end }}
      {{- with .Values.topologySpreadConstraints }}
      topologySpreadConstraints: {{ include "agent.spread" $ }}
      {{- end }}
      {{- with .Values.initContainers }}
      initContainers: {{ include "agent.restricted" (dict "root" $ "containers" .) }}
      {{- end }}
      containers:
        - name: {{ toJson .Values.component }}
          image: {{ include "agent.image" . | toJson }}
          {{- with .Values.image.pullPolicy }}
          imagePullPolicy: {{ toJson . }}
          {{- end }}
          {{- with .Values.command }}
          command: {{ include "agent.json" . }}
          {{- end }}
          {{- if .Values.args }}
          args: {{ include "agent.json" .Values.args }}
          {{- else if .Values.config }}
          args: {{ list "serve" "--config" (printf "%s/agent.json" .Values.configDir) | toJson }}
          {{- end }}
          {{- with .Values.workingDir }}
          workingDir: {{ toJson . }}
          {{- end }}
          {{- with .Values.ports }}
          ports:
            {{- range . }}
            - {{ dict "name" .name "containerPort" .containerPort "protocol" (default "TCP" .protocol) | toJson }}
            {{- end }}
          {{- end }}
          {{- with .Values.extraEnv }}
          env: {{ include "agent.json" . }}
          {{- end }}
          {{- with .Values.extraEnvFrom }}
          envFrom: {{ toJson . }}
          {{- end }}
          resources: {{ toJson .Values.resources }}
          {{- with .Values.startupProbe }}{{ if .enabled }}
          startupProbe: {{ include "agent.probe" . }}
          {{- end }}{{ end }}
          {{- with .Values.readinessProbe }}{{ if .enabled }}
          readinessProbe: {{ include "agent.probe" . }}
          {{- end }}{{ end }}
          {{- with .Values.livenessProbe }}{{ if .enabled }}
          livenessProbe: {{ include "agent.probe" . }}
          {{- end }}{{ end }}
          {{- if .Values.preStopSleepSeconds }}
          lifecycle: {preStop: {sleep: {seconds: {{ toJson .Values.preStopSleepSeconds }}}}}
          {{- end }}
          securityContext: {{ toJson .Values.securityContext }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- if ne (include "agent.data" .) "{}" }}
            - {name: config, mountPath: {{ toJson .Values.configDir }}, readOnly: true}
            {{- end }}
            {{- if .Values.secretFiles }}
            - {name: secrets, mountPath: /var/run/secrets/fleetform, readOnly: true}
            {{- end }}
            {{- range .Values.extraVolumeMounts }}
            - {{ toJson . }}
            {{- end }}
        {{- range .Values.sidecars }}
        - {{ include "agent.restricted" (dict "root" $ "containers" (list .)) | fromJsonArray | first | include "agent.json" }}
        {{- end }}
      volumes:
        - {name: tmp, emptyDir: {{ toJson .Values.tmp }}}
        {{- if ne (include "agent.data" .) "{}" }}
        - {name: config, configMap: {name: {{ include "agent.configName" . | toJson }}}}
        {{- end }}
        {{- if .Values.secretFiles }}
        - {name: secrets, projected: {defaultMode: 288, sources: {{ include "agent.secrets" . }}}}
        {{- end }}
        {{- range .Values.extraVolumes }}
        - {{ toJson . }}
        {{- end }}
{{- end }}

{{- define "agent.probe" -}}
{{- $probe := dict "periodSeconds" .periodSeconds "timeoutSeconds" .timeoutSeconds "failureThreshold" .failureThreshold -}}
{{- if .command }}{{ $_ := set $probe "exec" (dict "command" .command) -}}
{{- else if .grpc }}{{ $_ := set $probe "grpc" (dict "port" .port "service" .service) -}}
{{- else if .path }}{{ $_ := set $probe "httpGet" (dict "path" .path "port" .port) }}{{ else }}{{ $_ := set $probe "tcpSocket" (dict "port" .port) }}{{ end -}}
{{- if .initialDelaySeconds }}{{ $_ := set $probe "initialDelaySeconds" .initialDelaySeconds }}{{ end -}}
{{- include "agent.json" $probe -}}
{{- end }}

{{/* Spread constraints without a selector count these pods. */}}
{{- define "agent.spread" -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "agent.selector" . | fromJson)) -}}
{{- $found := list -}}
{{- range .Values.topologySpreadConstraints }}{{ $found = append $found (ternary . (merge (deepCopy .) $own) (hasKey . "labelSelector")) }}{{ end -}}
{{- toJson $found -}}
{{- end }}

{{/* Containers without a security context get that of the main one. */}}
{{- define "agent.podSecurity" -}}
{{- $found := deepCopy .Values.podSecurityContext -}}
{{- range list "runAsUser" "runAsGroup" "fsGroup" "fsGroupChangePolicy" }}{{ if empty (index $found .) }}{{ $found = omit $found . }}{{ end }}{{ end -}}
{{- toJson $found -}}
{{- end }}

{{- define "agent.restricted" -}}
{{- $found := list -}}
{{- $own := dict "securityContext" .root.Values.securityContext -}}
{{- range .containers }}{{ $found = append $found (ternary . (merge (deepCopy .) $own) (hasKey . "securityContext")) }}{{ end -}}
{{- include "agent.json" $found -}}
{{- end }}

{{- define "agent.secrets" -}}
{{- $sources := list -}}
{{- range .Values.secretFiles }}
{{- $secret := . }}{{ $items := list -}}
{{- range .keys }}{{ $items = append $items (dict "key" . "path" (printf "%s/%s" $secret.name .)) }}{{ end -}}
{{- $sources = append $sources (dict "secret" (dict "name" .name "items" $items)) -}}
{{- end -}}
{{- toJson $sources -}}
{{- end }}
