package main

import (
	"math"
	"slices"
	"time"
)

// A summary describes several measurements of one thing, in milliseconds.
type summary struct {
	Median  float64 `json:"median"`
	Min     float64 `json:"min"`
	P90     float64 `json:"p90"`
	Samples int     `json:"samples"`
}

// summarize returns the summary of all, or nil if all is empty.
func summarize(all []time.Duration) *summary {
	if len(all) == 0 {
		return nil
	}
	return &summary{Median: quantile(all, 0.5), Min: quantile(all, 0), P90: quantile(all, 0.9), Samples: len(all)}
}

// quantile returns the quantile q, between 0 and 1, in milliseconds, by the nearest rank. The
// median of an even number is the mean of the two in the middle.
func quantile(all []time.Duration, q float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	if n := len(sorted); q == 0.5 && n%2 == 0 {
		return milliseconds(sorted[n/2-1]+sorted[n/2]) / 2
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return milliseconds(sorted[max(rank-1, 0)])
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// slope returns how much y grows with x, by least squares. There must be two different values of x.
func slope(x, y []float64) float64 {
	var meanX, meanY, xy, xx float64
	for i := range x {
		meanX, meanY = meanX+x[i]/float64(len(x)), meanY+y[i]/float64(len(x))
	}
	for i := range x {
		xy, xx = xy+(x[i]-meanX)*(y[i]-meanY), xx+(x[i]-meanX)*(x[i]-meanX)
	}
	return xy / xx
}
