// +k8s:deepcopy-gen=package,register
// +groupName=k8s.cni.cncf.io
// +groupGoName=K8sCniCncfIo

package v1
