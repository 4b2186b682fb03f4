// Package metaplugin implements the CNI operations. It is the only package that knows the order of
// effects.
//
// An ADD resolves what the Pod asks for into a plan, which is complete and validated before
// anything is touched (resolve.go). The plan is written to the ledger, durably; then the delegates
// run, the default network first; what they made is verified, and the results are recorded
// (attach.go, verify.go). If anything fails, what this call started is rolled back. A DEL tears
// down what the ledger has of the container, whatever became of the Pod and its Networks (del.go,
// teardown.go). Hot operations do the same for one network of a running Pod (hotadd.go, hotdel.go).
//
// What could not be torn down stays in the ledger for the next DEL. After a while it becomes an
// orphan, so that the Pod can go; Reclaim and GC tear down orphans and the attachments of
// containers that are gone (reclaim.go, gc.go), and GC then forwards the list of valid attachments
// to the delegates (forwardgc.go).
//
// All time limits are in deadlines.go, all error codes in errors.go. The collaborators of a Plugin
// are small interfaces, which tests replace to inject faults.
package metaplugin
