package main

import (
	"context"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// requests returns the number of requests in the audit log since the mark, without those of the
// benchmark and the apiserver.
func (l *lab) requests(ctx context.Context, since cluster.AuditMark) (int, error) {
	others, err := l.requestsOfOthers(ctx, since)
	return len(others), err
}

func (l *lab) requestsOfOthers(ctx context.Context, since cluster.AuditMark) ([]cluster.Request, error) {
	all, err := l.cp.AuditRequests(ctx, since)
	var others []cluster.Request
	for _, r := range all {
		if r.User != cluster.AdminUser {
			others = append(others, r)
		}
	}
	return others, err
}
