package main

import (
	"context"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// requests counts what the apiserver was asked since the mark, by its audit log, by any but the benchmark itself and the apiserver.
func (b *bed) requests(ctx context.Context, since cluster.AuditMark) (int, error) {
	all, err := b.cp.AuditRequests(ctx, since)
	count := 0
	for _, r := range all {
		if r.User != cluster.AdminUser {
			count++
		}
	}
	return count, err
}
