package run

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Real-time signals as the C library numbers them, which keeps 32 and 33 for itself.
const (
	signalRTMin = 34
	signalRTMax = 64
)

// ParseSignal reads a signal's number or name, with or without SIG, in any case,
// and RTMIN+n and RTMAX-n.
func ParseSignal(text string) (int, error) {
	bad := fmt.Errorf("invalid signal %q", text)
	if n, err := strconv.Atoi(text); err == nil {
		if n < 1 || n > signalRTMax {
			return 0, bad
		}
		return n, nil
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if n := unix.SignalNum("SIG" + name); n != 0 {
		return int(n), nil
	}
	base, offset, sign := 0, "", 1
	if rest, ok := strings.CutPrefix(name, "RTMIN"); ok {
		base, offset = signalRTMin, strings.TrimPrefix(rest, "+")
	} else if rest, ok := strings.CutPrefix(name, "RTMAX"); ok {
		base, offset, sign = signalRTMax, strings.TrimPrefix(rest, "-"), -1
	} else {
		return 0, bad
	}
	if offset == "" {
		return base, nil
	}
	n, err := strconv.Atoi(offset)
	if n = base + sign*n; err != nil || n < signalRTMin || n > signalRTMax {
		return 0, bad
	}
	return n, nil
}
