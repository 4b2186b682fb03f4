// Package netns identifies network namespaces, reports which of them are gone, and reads and
// changes the interfaces and default routes in them.
//
// A path is not an identity: the file that a runtime mounts a namespace on can be reused, and so
// can the process ID in /proc/PID/ns/net. Identify therefore returns an ID that combines the path
// with the device and inode of the namespace and the boot ID of the node, and Same compares those.
//
// Liveness is one-sided. The kernel reuses the inode number of a namespace that is gone, so a
// namespace that is gone can be mistaken for a live one, and stays untouched a while longer. The
// opposite, which would cost a running Pod its networks, does not happen: Index.Gone reports true
// only if the node was rebooted since, or if the recorded path does not lead to the namespace, no
// process is in it, and it is not mounted elsewhere. From another mount namespace than the one in
// which the path was recorded, nothing can be concluded, and Index.Visible reports false.
//
// Interfaces are read and changed over a netlink socket that is opened in the namespace, so no
// thread of the process ever enters it.
package netns
