package main

import (
	"testing"
	"time"
)

func TestAge(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		-time.Second:           "0s",
		59 * time.Second:       "59s",
		time.Minute:            "1m",
		time.Hour - 1:          "59m",
		day - 1:                "23h",
		day:                    "1d",
		400*day + 23*time.Hour: "400d",
		90 * time.Minute:       "1h",
	} {
		if got := age(d); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}
