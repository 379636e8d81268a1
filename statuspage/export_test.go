package statuspage

import "time"

// Quantiles are those of the only kind that was asked for, or 0.
func Quantiles(a *Activity, now time.Time) (p50, p99 time.Duration) {
	for _, k := range a.hour(now).Kinds {
		p50, p99 = k.P50, k.P99
	}
	return p50, p99
}
