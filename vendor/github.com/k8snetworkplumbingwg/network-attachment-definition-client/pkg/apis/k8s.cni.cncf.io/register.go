package k8scnicncfio

const (
	GroupName = "k8s.cni.cncf.io"
)
