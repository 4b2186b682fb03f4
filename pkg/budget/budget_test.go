package budget

import (
	"sync"
	"testing"
)

func TestBudget_GrantsUpToTheLimit(t *testing.T) {
	b := New(10)
	for _, step := range []struct{ take, want, giveBack int }{
		{take: 4, want: 4},
		{take: 0, want: 0},
		{take: 7, want: 6},
		{take: 1, want: 0, giveBack: 3},
		{take: 5, want: 3, giveBack: 10},
		{take: 10, want: 10},
		{take: 1, want: 0},
	} {
		if got := b.Take(step.take); got != step.want {
			t.Errorf("Take(%d) = %d, want %d", step.take, got, step.want)
		}
		b.Return(step.giveBack)
	}
}

func TestBudget_NilGrantsEverything(t *testing.T) {
	var b *Budget
	const n = 1 << 30
	if got := b.Take(n); got != n {
		t.Errorf("Take(%d) = %d", n, got)
	}
	b.Return(n)
}

func TestBudget_ZeroGrantsNothing(t *testing.T) {
	var b Budget
	if got := b.Take(1); got != 0 {
		t.Errorf("Take(1) = %d, want 0", got)
	}
}

func TestBudget_ConcurrentUse(t *testing.T) {
	const limit, takers = 1000, 8
	b := New(limit)
	var granted [takers]int
	var all sync.WaitGroup
	for i := range takers {
		all.Go(func() {
			for range limit {
				n := b.Take(3)
				b.Return(n / 2)
				granted[i] += n - n/2
			}
		})
	}
	all.Wait()
	sum := 0
	for _, n := range granted {
		sum += n
	}
	if left := b.Take(2 * limit); sum+left != limit {
		t.Errorf("%d granted and %d left, want %d together", sum, left, limit)
	}
}
