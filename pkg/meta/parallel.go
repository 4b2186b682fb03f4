package meta

import "golang.org/x/sync/errgroup"

// inParallel calls do for each i below n, as many at once as delegates may run.
func inParallel(n int, do func(i int)) {
	var group errgroup.Group
	group.SetLimit(parallelDelegates)
	for i := range n {
		group.Go(func() error {
			do(i)
			return nil
		})
	}
	_ = group.Wait()
}
