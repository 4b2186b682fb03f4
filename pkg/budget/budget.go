// Package budget bounds how many bytes several readers or writers may hold together.
//
// kactus runs once for each operation on a Pod, and must stay small. A limit on each response or
// each plugin's output does not ensure that, because a Pod may name many networks. So all that is
// read for one operation draws on one Budget.
package budget

import "sync"

// A Budget grants bytes until its limit is reached. A nil Budget grants everything. The zero value
// grants nothing. A Budget is safe for concurrent use.
type Budget struct {
	mu   sync.Mutex
	left int64
}

// New returns a Budget of limit bytes.
func New(limit int64) *Budget { return &Budget{left: limit} }

// Take takes n bytes, or as many as are left, and returns how many were granted. What was granted
// counts until it is given back to Return.
func (b *Budget) Take(n int) (granted int) {
	if b == nil {
		return n
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	granted = int(min(int64(n), b.left))
	b.left -= int64(granted)
	return granted
}

// Return gives back n bytes that Take granted.
func (b *Budget) Return(n int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += int64(n)
}
