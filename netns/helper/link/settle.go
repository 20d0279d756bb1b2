package link

import (
	"fmt"
	"unsafe"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// settle has the kernel give ports their queues. The end of a pair that came up first
// gets it only when a work item of the kernel's has seen that the other end is up too
// (net/core/link_watch.c); a frame before that, the answer to a container's first ARP
// request say, is lost, and a second passes before the next try. To ask for the link's
// state does that work at once. The caller's thread is in N.
func settle(bridges map[string]bool, endpoints []store.Endpoint) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("asking for the links' state: %w", err)
	}
	defer unix.Close(fd)
	for i := range endpoints {
		linkState(fd, Port(&endpoints[i]))
	}
	for bridge := range bridges {
		linkState(fd, bridge)
	}
	return nil
}

// linkState is ETHTOOL_GLINK (linux/ethtool.h). What it fails for, an interface that
// a macvlan network does not have, needs it not.
func linkState(fd int, name string) {
	var request struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // of the union of struct ifreq
	}
	value := struct{ command, data uint32 }{command: unix.ETHTOOL_GLINK}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	request.data = unsafe.Pointer(&value)
	unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
}
