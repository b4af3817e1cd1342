{{/* Names, labels and the pieces of a pod that the five processes share. */}}

{{/* The full name of the release: the start of every object's name. At most 40 characters, so that
"-store-reader" and a pod's own suffix still fit. */}}
{{- define "larder.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select the pods of one process: (list . "proxy") */}}
{{- define "larder.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of every object: (list . "proxy") */}}
{{- define "larder.labels" -}}
{{- $root := index . 0 -}}
{{ include "larder.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: larder
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end -}}

{{- define "larder.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* A Service's address, from the variables that the kubelet gives every container, so that no DNS
is needed: (list . "store") */}}
{{- define "larder.serviceHost" -}}
{{- $root := index . 0 -}}
{{- $variable := printf "$(%s_SERVICE_HOST)" (printf "%s-%s" (include "larder.fullname" $root) (index . 1) | upper | replace "-" "_") -}}
{{- if $root.Values.ipv6 -}}[{{ $variable }}]{{- else -}}{{ $variable }}{{- end -}}
{{- end -}}

{{- define "larder.storeReaderUrl" -}}
{{- .Values.store.external.url | default (printf "http://%s:5000" (include "larder.serviceHost" (list . "store"))) -}}
{{- end -}}

{{- define "larder.storeWriterUrl" -}}
{{- .Values.store.external.url | default (printf "http://%s:5001" (include "larder.serviceHost" (list . "store"))) -}}
{{- end -}}

{{/* A login to the store as a volume: (list . "reader"). An external registry may need none. */}}
{{- define "larder.storeLoginVolume" -}}
{{- $root := index . 0 -}}
{{- $external := $root.Values.store.external -}}
{{- $secret := printf "%s-store-%s" (include "larder.fullname" $root) (index . 1) -}}
{{- if $external.url -}}
{{- $secret = index $external (printf "%sSecret" (index . 1)) -}}
{{- end -}}
name: store-{{ index . 1 }}
{{- if $secret }}
secret:
  secretName: {{ $secret }}
{{- else }}
emptyDir: {}
{{- end }}
{{- end -}}

{{/* The ServiceAccount token by which the copier knows its caller. */}}
{{- define "larder.copierTokenVolume" -}}
name: copier-token
projected:
  sources:
    - serviceAccountToken:
        audience: larder-copier
        expirationSeconds: 3600
        path: token
{{- end -}}

{{- define "larder.copierEnv" -}}
- name: LARDER_COPIER_URL
  value: https://{{ include "larder.serviceHost" (list . "copier") }}:7441
- name: LARDER_COPIER_SERVER_NAME
  value: {{ include "larder.fullname" . }}-copier.{{ .Release.Namespace }}.svc
{{- end -}}

{{/* Environment variables of every process. */}}
{{- define "larder.commonEnv" -}}
- name: LARDER_FULLNAME
  value: {{ include "larder.fullname" . }}
- name: LARDER_NAMESPACE
  value: {{ .Release.Namespace }}
- name: LARDER_LOG_LEVEL
  value: {{ .Values.logLevel }}
{{- end -}}

{{/* The security context of every pod. */}}
{{- define "larder.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{/* A container without its environment and mounts: (list . "proxy") */}}
{{- define "larder.container" -}}
{{- $root := index . 0 -}}
name: {{ index . 1 }}
image: {{ include "larder.image" $root }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
{{- /* The controller's objects live either long or very short: a small nursery suffices, and the
old generation is collected before it grows. */}}
command: [node, {{ if eq (index . 1) "controller" }}--max-semi-space-size=4, --heap-growing-percent=40, {{ end }}/app/{{ index . 1 }}.mjs]
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
resources:
  {{- toYaml (index $root.Values (index . 1)).resources | nindent 2 }}
{{- end -}}

{{/* Probes of a process that listens on the pod's own address; takes the port's name. */}}
{{- define "larder.probes" -}}
readinessProbe:
  httpGet: { path: /readyz, port: {{ . }} }
  periodSeconds: 5
  timeoutSeconds: 3
livenessProbe:
  httpGet: { path: /healthz, port: {{ . }} }
  initialDelaySeconds: 10
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{/* Where the pods of one process may run: (list . "copier") */}}
{{- define "larder.placement" -}}
{{- $root := index . 0 -}}
{{- $values := index $root.Values (index . 1) -}}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Spreads replicas over nodes if there are several: (list . "webhook") */}}
{{- define "larder.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "larder.selector" . | nindent 8 }}
{{- end -}}

{{/* A pod template's metadata: (list . "copier" (dict "checksum/upstreams" "…")) */}}
{{- define "larder.podMetadata" -}}
{{- $root := index . 0 -}}
labels:
  {{- include "larder.selector" (list $root (index . 1)) | nindent 2 }}
{{- $annotations := merge (dict) (index . 2) (index $root.Values (index . 1)).podAnnotations }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Changes with the settings of the upstreams, so that the pods which read them are replaced. */}}
{{- define "larder.upstreamsChecksum" -}}
{{- .Values.upstreams | toJson | sha256sum -}}
{{- end -}}

{{/* Namespaces whose pods are never rewritten. */}}
{{- define "larder.excludedNamespaces" -}}
{{- concat (list "kube-system" .Release.Namespace) .Values.excludedNamespaces | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* The settings of the upstreams as processes read them. What caFrom names becomes a file, named
by the entry's place in the list. */}}
{{- define "larder.upstreams" -}}
{{- $upstreams := list -}}
{{- range $index, $upstream := .Values.upstreams -}}
{{- with $upstream.caFrom -}}
{{- $upstream = merge (dict "caFile" (printf "/etc/larder/upstream-ca/%d.crt" $index)) (omit $upstream "caFrom") -}}
{{- end -}}
{{- $upstreams = append $upstreams $upstream -}}
{{- end -}}
{{- $upstreams | toJson -}}
{{- end -}}

{{/* Volumes with those settings and the certificates that they name. They are optional: a CA that
is not there yet keeps no pod from starting. */}}
{{- define "larder.upstreamVolumes" -}}
- name: upstreams
  configMap:
    name: {{ include "larder.fullname" . }}-upstreams
- name: upstream-ca
  projected:
    sources:
      {{- range $index, $upstream := .Values.upstreams }}
      {{- range $kind, $source := $upstream.caFrom }}
      - {{ $kind }}:
          name: {{ $source.name }}
          optional: true
          items: [{ key: {{ $source.key | default "ca.crt" | quote }}, path: "{{ $index }}.crt" }]
      {{- end }}
      {{- end }}
{{- end -}}

{{- define "larder.upstreamMounts" -}}
- { name: upstreams, mountPath: /etc/larder/upstreams, readOnly: true }
- { name: upstream-ca, mountPath: /etc/larder/upstream-ca, readOnly: true }
{{- end -}}

{{/* Selects the pods of the proxies. */}}
{{- define "larder.proxySelector" -}}
{{- $labels := include "larder.selector" (list . "proxy") | fromYaml -}}
{{- $terms := list -}}
{{- range $key, $value := $labels }}{{ $terms = append $terms (printf "%s=%s" $key $value) }}{{ end -}}
{{- join "," $terms -}}
{{- end -}}

{{/* The administrator's rules, as api/rules.ts reads them. */}}
{{- define "larder.rules" -}}
{{- $excluded := concat (include "larder.excludedNamespaces" . | fromJsonArray) .Values.rules.exclude.namespaces | uniq | sortAlpha -}}
{{- dict
  "mode" .Values.mode
  "publicRepositories" .Values.publicRepositories
  "include" .Values.rules.include
  "exclude" (dict "images" .Values.rules.exclude.images "namespaces" $excluded)
  "proxyNodeSelector" .Values.proxy.nodeSelector
  "nodesWithoutProxy" .Values.nodesWithoutProxy
  "minReadyProxiesPercent" .Values.minReadyProxiesPercent
  | toJson -}}
{{- end -}}

{{/* The bucket for images, as parameters of CNCF distribution. What is not AWS usually takes the
bucket in the path. */}}
{{- define "larder.s3" -}}
{{- $s3 := .Values.store.s3 -}}
{{- $parameters := dict "bucket" $s3.bucket "region" $s3.region -}}
{{- with $s3.endpoint }}{{ $parameters = merge $parameters (dict "regionendpoint" . "forcepathstyle" true) }}{{ end -}}
{{- dict "s3" (mergeOverwrite $parameters $s3.parameters) | toJson -}}
{{- end -}}
