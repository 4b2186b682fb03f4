package delegate

import "sync"

// maxOutput is how much kactus holds of what all plugins print, in bytes: each may print a result of maxStdout, but a verb runs many.
const maxOutput = 1 << 20

// Room is for what the plugins of a verb print, so that they cannot make kactus hold more than a MiB however many they are. What a
// plugin printed takes room as long as it is of use: a result until the verb ends, anything else until it is read. The zero value is
// ready to use; nil has room for everything.
type Room struct {
	mu    sync.Mutex
	taken int
}

// take takes room for n bytes, or as many as there is room for.
func (r *Room) take(n int) int {
	if r == nil {
		return n
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n = min(n, maxOutput-r.taken)
	r.taken += n
	return n
}

// leave gives back the room of n bytes.
func (r *Room) leave(n int) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken -= n
}
