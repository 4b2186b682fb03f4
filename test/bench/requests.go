package main

import (
	"context"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// requests returns the number of requests in the audit log since the mark, without those of the
// benchmark and the apiserver.
func (l *lab) requests(ctx context.Context, since cluster.AuditMark) (int, error) {
	all, err := l.cp.AuditRequests(ctx, since)
	count := 0
	for _, r := range all {
		if r.User != cluster.AdminUser {
			count++
		}
	}
	return count, err
}
