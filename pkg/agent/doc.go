// Package agent makes what is attached to a running Pod what the Pod's annotation says.
//
// Compare is its pure part: it compares the selections of the annotation with the ledger's record
// of the Pod's container, the only source of what is attached, and returns the hot operations that
// make the second what the first asks for. An attachment belongs to a selection if a hot operation
// for the selection would find it. Whether it is what the selection asks for is decided as in a hot
// ADD that is repeated, so that an agent neither removes what kactus takes for the same, nor asks
// for what kactus refuses.
//
// Some attachments are not the agent's, and there is never a step for them, whatever the annotation
// says: the default network, be it that of the master delegate or of a primary selection; the other
// delegates of the netconf; and what came, or is now to come, from a selection with podagentSkip.
//
// What is unknown changes nothing. Kaloom's kactus, from which nodes are upgraded in place, did not
// record requests and results: an attachment in one of its records counts as what is selected by
// that name, until the name is gone from the annotation.
//
// An annotation that cannot be parsed, or with which a Pod could not be started, touches nothing at
// all: the error is the result.
package agent
