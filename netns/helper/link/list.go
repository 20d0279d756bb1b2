package link

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// listTries bounds how often a list is asked for: processes of a container can change its
// interfaces all the time.
const listTries = 100

// list tells the interfaces of the thread's network namespace. What the kernel told while
// some came or went (NLM_F_DUMP_INTR, netlink(7)) may lack others, and is asked for again.
func list() ([]netlink.Link, error) {
	for try := 1; ; try++ {
		found, err := netlink.LinkList()
		if err == nil {
			return found, nil
		}
		if try == listTries || !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("listing interfaces: %w", err)
		}
	}
}
