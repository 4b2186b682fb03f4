package cluster

// CgroupOf names the cgroup, in every hierarchy, of the cluster in a folder.
var CgroupOf = clusterCgroup
