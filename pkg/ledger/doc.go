// Package ledger keeps a durable record, on the node's disk, of the attachments that exist or may
// exist: one JSON file per container.
//
// An operation locks the container's record, which gives it a LockedRecord, and changes the record
// only through that. WritePlanned adds attachments before anything of them is made, and returns
// only once the record is on the disk: whatever happens to kactus or to the node afterwards, the
// next DEL finds what there may be to tear down. MarkAttached adds the results. Remove deletes an
// attachment that was torn down, and the file with the last one. An attachment whose DEL keeps
// failing is moved to the record's orphans by Orphan, so that the Pod can go.
//
// A record is replaced as a whole: written to a temporary file, synced, and renamed. A reader, with
// or without the lock, therefore sees the record before or after a change, never half of it. A file
// that does not parse is corrupt. Corrupt reports that, nothing can be planned then, and Quarantine
// moves the file aside for someone to look at.
//
// Two locks order the operations. The container's lock serializes those on one container; see
// lockContainer. The lock of the whole ledger is shared by all that write a plan, and LockExclusive
// holds it alone, so that nothing new is planned meanwhile. Whoever needs both takes the
// container's first.
//
// The types that are encoded to the disk are in format.go, and nowhere else. The format is an API:
// a later version of kactus reads the files of an earlier one.
package ledger
