package metaplugin

import "time"

// The time limits of the operations. Runtimes allow at least 100 seconds for an ADD and 45 for a
// DEL; a plugin that runs when its time is over is ended, which can take two seconds more.
//
//	operation       limit   of which
//	ADD             70 s    12 s for the lock, the netconf's apiTimeout for the apiserver
//	  roll-back     20 s    10 s for the auxiliary attachments
//	DEL             38 s    20 s for the lock; the auxiliary attachments end at 30 s
//	  leftovers     2 s     of another container, after the DEL's own work
//	CHECK           30 s    12 s for the lock, unless a hot operation has it
//	  hot networks  5 s
//	GC              23 s    10 s to forward the valid attachments, and the rest to reclaim
//	kactus gc       70 s
//	STATUS          10 s
//	stdin           4 s     before any of the above
const (
	addTimeout = 70 * time.Second

	rollBackTimeout          = 20 * time.Second
	rollBackAuxiliaryTimeout = rollBackTimeout / 2

	delTimeout          = 38 * time.Second
	delAuxiliaryTimeout = 30 * time.Second
	// delLockTimeout is how long a DEL waits for another operation on the same container, and for
	// plugins that a killed kactus left running, which it then ends.
	delLockTimeout = 20 * time.Second

	// leftoversTimeout is how long a DEL spends on what another container left.
	leftoversTimeout = 2 * time.Second

	checkTimeout = 30 * time.Second
	// checkHotTimeout is for the hot networks of a Pod, whose trouble must not delay its CHECK.
	checkHotTimeout = 5 * time.Second

	// gcTimeout is within the 30 seconds after which CRI-O kills a GC.
	gcTimeout        = 23 * time.Second
	forwardGCTimeout = 10 * time.Second

	// reclaimTimeout is for a person who waits.
	reclaimTimeout = 70 * time.Second

	// statusTimeout is for plugins that are slow, not for runtimes, which wait: containerd for as
	// long as the kubelet does, CRI-O without end. One that is cut short makes a node NotReady.
	statusTimeout = 10 * time.Second

	// lockTimeout is how long any other operation waits for one on the same container.
	lockTimeout = 12 * time.Second
	// abandonedAfter is how long an operation waits for the lock before it looks whether nobody but
	// daemons holds it.
	abandonedAfter = time.Second

	// StdinTimeout is how long the runtime may take to write the netconf, which it has when it
	// starts kactus.
	StdinTimeout = 4 * time.Second
)

// An attachment becomes an orphan once this many DELs of it have failed over this time.
const (
	orphanAfterFailures = 3
	orphanAfter         = 5 * time.Minute
)

// parallelContainers is how many containers are reclaimed at once.
const parallelContainers = 4
