package cluster

// CgroupOf returns the name of the cgroup, in every hierarchy, of the cluster in a directory.
var CgroupOf = clusterCgroup
