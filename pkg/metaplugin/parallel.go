package metaplugin

import "golang.org/x/sync/errgroup"

// inParallel calls do for each i below n, at most limit at once.
func inParallel(limit, n int, do func(i int)) {
	var group errgroup.Group
	group.SetLimit(limit)
	for i := range n {
		group.Go(func() error {
			do(i)
			return nil
		})
	}
	_ = group.Wait()
}
