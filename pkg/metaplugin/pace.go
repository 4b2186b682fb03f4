package metaplugin

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"
)

// failedMark is on a hot operation that failed. Its text does not matter.
const failedMark kind = "failed"

const (
	// failedFor is how long a hot operation that failed makes the next failure slow.
	failedFor = time.Minute
	// maxFailed is how many hot operations that failed are known at once.
	maxFailed = 1024
	// slowest is the longest time until a hot operation that fails again is answered, half of it
	// the shortest.
	slowest = 2 * time.Second
	// networkPause is the time between two looks for the Network of a hot ADD.
	networkPause = 500 * time.Millisecond
)

// paced runs a hot operation. Some agents repeat one that fails without a pause: a failure that
// follows on another one is answered after one to two seconds. A hot ADD whose Network does not
// exist uses that time, from the first failure on, to look for the Network again. The container is
// not locked meanwhile.
func (p *Plugin) paced(
	ctx context.Context, req Request, run func(context.Context, Request) (json.RawMessage, error),
) (json.RawMessage, error) {
	end := time.Now().Add(slowest/2 + rand.N(slowest/2))
	result, err := run(ctx, req)
	for err != nil && req.Operation != "DEL" && notFound(err) && time.Until(end) > 0 && ctx.Err() == nil {
		sleep(ctx, min(networkPause, time.Until(end)))
		result, err = run(ctx, req)
	}
	key := []string{req.ContainerID, req.Operation, req.Args.Hot.Network, req.IfName}
	if err == nil {
		p.Marks.remove(failedMark, key...)
		return result, nil
	}
	if last, ok := p.Marks.get(failedMark, key...); ok && isRecent(last) {
		sleep(ctx, time.Until(end))
	}
	p.Marks.prune(failedMark, maxFailed, func(m mark) bool { return !isRecent(m) })
	if err := p.Marks.set(failedMark, "failed", key...); err != nil {
		p.Log.Warn("a hot operation that fails again will be answered at once", "cause", err)
	}
	return nil, err
}

// isRecent reports whether the mark was made within failedFor. One of the future was made before
// the clock was set back.
func isRecent(m mark) bool {
	age := time.Since(m.made)
	return age >= 0 && age < failedFor
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
