package run

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseTime reads a time as Docker's --since and --until take it: RFC 3339 or a
// beginning of it in local time, seconds since the epoch with a fraction, or a
// duration before now ("10m").
func ParseTime(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02Z07:00", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	whole, fraction, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(fraction) > 9 {
		return time.Time{}, fmt.Errorf("parsing time %q: neither a time such as 2006-01-02T15:04:05, nor seconds, nor a duration", text)
	}
	nanoseconds := int64(0)
	if fraction != "" {
		if nanoseconds, err = strconv.ParseInt(fraction+strings.Repeat("0", 9-len(fraction)), 10, 64); err != nil || nanoseconds < 0 {
			return time.Time{}, fmt.Errorf("parsing time %q: its fraction is no number", text)
		}
	}
	return time.Unix(seconds, nanoseconds), nil
}
