package inventory

import (
	"cmp"
	"errors"
	"io/fs"
	"iter"
	"slices"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

func compareHeads(a, b ledger.Head) int {
	return cmp.Or(
		cmp.Compare(a.Pod.Namespace, b.Pod.Namespace),
		cmp.Compare(a.Pod.Name, b.Pod.Name),
		cmp.Compare(a.ContainerID, b.ContainerID),
	)
}

// Records returns the records ordered by Pod and then by container, and at last the corrupt ones.
// It reads the ledger twice, because the records of a whole node can be too large to be held in
// memory at once.
func Records(l ledger.Ledger) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		heads, corrupt, err := readHeads(l)
		if err != nil {
			yield(ledger.Record{}, err)
			return
		}
		for _, head := range heads {
			r, err := l.ReadRecord(head.ContainerID)
			switch {
			case errors.Is(err, fs.ErrNotExist): // torn down meanwhile
			case err != nil:
				c := ledger.CorruptRecord{ContainerID: head.ContainerID, Path: head.ContainerID + ".json", Cause: err}
				corrupt = append(corrupt, c)
			case !yield(r, nil):
				return
			}
		}
		for _, c := range corrupt {
			if !yield(ledger.Record{}, c) {
				return
			}
		}
	}
}

// readHeads returns the heads of the records, in order, and the corrupt ones.
func readHeads(l ledger.Ledger) (heads []ledger.Head, corrupt []ledger.CorruptRecord, err error) {
	for head, err := range l.Heads() {
		var c ledger.CorruptRecord
		switch {
		case errors.As(err, &c):
			corrupt = append(corrupt, c)
		case err != nil:
			return nil, nil, err
		default:
			heads = append(heads, head)
		}
	}
	slices.SortFunc(heads, compareHeads)
	return heads, corrupt, nil
}
