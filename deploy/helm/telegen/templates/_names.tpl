{{- define "telegen.labels" -}}
app: telegen
app.kubernetes.io/name: telegen
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "telegen.selector" -}}
app: telegen
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "telegen.serviceAccount" -}}
{{ .Values.serviceAccount.name | default .Release.Name }}
{{- end }}

{{- /* Roles are the cluster's: two releases of one name in two namespaces must not share one. */ -}}
{{- define "telegen.clusterName" -}}
{{ .Release.Namespace }}-{{ .Release.Name }}
{{- end }}

{{- /* Where probes are answered, as the configuration has it. */ -}}
{{- define "telegen.healthPort" -}}
{{ dig "server" "health_listen" "0.0.0.0:9691" .Values.config | splitList ":" | last }}
{{- end }}
