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
	for prefix, base := range map[string]int{"RTMIN+": signalRTMin, "RTMAX-": signalRTMax} {
		bare, sign := prefix[:5], prefix[5:]
		if name == bare {
			return base, nil
		}
		offset, found := strings.CutPrefix(name, prefix)
		n, err := strconv.ParseUint(offset, 10, 8)
		if !found || err != nil {
			continue
		}
		number := base + int(n)
		if sign == "-" {
			number = base - int(n)
		}
		if number >= signalRTMin && number <= signalRTMax {
			return number, nil
		}
	}
	return 0, bad
}
