//go:build !linux

package sdnotify

import (
	"errors"
	"time"
)

// monotonic is an error where there is no such manager.
func monotonic() (time.Duration, error) { return 0, errors.ErrUnsupported }
