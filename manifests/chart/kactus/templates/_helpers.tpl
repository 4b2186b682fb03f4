{{/* The name of the platform: that of the values, or what the apiserver says of itself. */}}
{{- define "kactus.platformName" -}}
{{- $version := .Capabilities.KubeVersion.Version }}
{{- if ne .Values.platform "auto" }}{{ .Values.platform }}
{{- else if contains "+k3s" $version }}k3s
{{- else if contains "+rke2" $version }}rke2
{{- else if .Capabilities.APIVersions.Has "config.openshift.io/v1" }}openshift
{{- else }}kubeadm
{{- end }}
{{- end }}

{{/* The platform's entry of platforms.yaml, with the directories of the values. */}}
{{- define "kactus.platform" -}}
{{- $platforms := .Files.Get "platforms.yaml" | fromYaml }}
{{- $platform := get $platforms (include "kactus.platformName" .) }}
{{- $binDir := .Values.directories.bin | default $platform.binDir }}
{{- $confDir := .Values.directories.conf | default $platform.confDir }}
{{- $own := dict
  "binDir" $binDir
  "binMount" (include "kactus.mount" (list $platform.binMount $binDir))
  "confDir" $confDir
  "confMount" (include "kactus.mount" (list $platform.confMount $confDir))
  "kubeletDir" (.Values.directories.kubelet | default $platform.kubeletDir)
  "seLinuxType" (.Values.installer.seLinuxType | default $platform.seLinuxType | default "")
  "priorityClassName" (.Values.priorityClassName | default $platform.priorityClassName)
  "scc" ($platform.scc | default "") }}
{{- toYaml $own }}
{{- end }}

{{/* What is mounted to reach a directory: a directory above it, if the platform says so. */}}
{{- define "kactus.mount" -}}
{{- $mount := index . 0 | default "" }}
{{- $dir := index . 1 }}
{{- if and $mount (hasPrefix (print $mount "/") $dir) }}{{ $mount }}{{ else }}{{ $dir }}{{ end }}
{{- end }}

{{- define "kactus.image" -}}
{{- $tag := .Values.image.tag | default (hasSuffix "-dev" .Chart.AppVersion | ternary "latest" .Chart.AppVersion) }}
{{- with .Values.image.digest }}
{{- $.Values.image.repository }}@{{ . }}
{{- else }}
{{- .Values.image.repository }}:{{ $tag }}
{{- end }}
{{- end }}

{{/* The netconf: what follows from the platform, then what the values say. */}}
{{- define "kactus.netconf" -}}
{{- $platform := include "kactus.platform" . | fromYaml }}
{{- $conf := dict
  "cniVersion" "1.0.0"
  "name" "kactus-net"
  "type" "kactus"
  "kubeconfig" (print $platform.confDir "/kactus.d/kactus-kubeconfig.yaml")
  "capabilities" (dict "kaloom.com/selection" true) }}
{{- if ne $platform.confDir "/etc/cni/net.d" }}
{{- $_ := set $conf "confDir" $platform.confDir }}
{{- end }}
{{- if ne $platform.kubeletDir "/var/lib/kubelet" }}
{{- $_ := set $conf "podResourcesSocket" (print $platform.kubeletDir "/pod-resources/kubelet.sock") }}
{{- end }}
{{- $conf = mergeOverwrite $conf (deepCopy .Values.netconf) }}
{{- include "kactus.checkMaster" (list .Values.defaultNetwork ($conf.delegates | default list)) }}
{{- toPrettyJson $conf }}
{{- end }}

{{/* Fails unless the default network comes from exactly one place. */}}
{{- define "kactus.checkMaster" -}}
{{- $defaultNetwork := index . 0 }}
{{- $masters := 0 }}
{{- range index . 1 }}
{{- if .masterPlugin }}{{ $masters = add1 $masters }}{{ end }}
{{- end }}
{{- if and $defaultNetwork $masters }}
{{- fail (printf "netconf.delegates has a delegate with masterPlugin, but defaultNetwork is %q: set it to \"\"" $defaultNetwork) }}
{{- end }}
{{- if and (not $defaultNetwork) (ne (int $masters) 1) }}
{{- fail (printf "defaultNetwork is \"\", so exactly one delegate in netconf.delegates must have masterPlugin: true, and %d have" (int $masters)) }}
{{- end }}
{{- end }}

{{/* What the Pods of both DaemonSets have in common. */}}
{{- define "kactus.scheduling" -}}
priorityClassName: {{ (include "kactus.platform" . | fromYaml).priorityClassName }}
nodeSelector:
  {{- toYaml .Values.nodeSelector | nindent 2 }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
tolerations:
  {{- toYaml .Values.tolerations | nindent 2 }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The metadata of a DaemonSet's Pods: the arguments are its name, and its values. */}}
{{- define "kactus.podMetadata" -}}
labels:
  app.kubernetes.io/name: {{ index . 0 }}
  {{- with (index . 1).podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with (index . 1).podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
