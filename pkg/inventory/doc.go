// Package inventory returns what an operator sees of a node's ledger: its attachments, and how they
// compare with the kernel. It takes no lock, and changes nothing.
package inventory
