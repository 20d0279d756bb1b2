package overlay

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/skiff-containers/skiff/userns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Device is the TUN's name in N.
const Device = "skiffx0"

const busy = 3 * time.Second

// openTUN makes the device in the calling thread's network namespace. It is gone with
// its last descriptor.
func openTUN() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &userns.HostError{What: "opening /dev/net/tun", Hint: "sudo modprobe tun; in an outer container, pass the device /dev/net/tun", Err: err}
	}
	if err := furnish(fd); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("making %s: %w", Device, err)
	}
	return os.NewFile(uintptr(fd), Device), nil
}

func furnish(fd int) error {
	ifreq, err := unix.NewIfreq(Device)
	if err != nil {
		return err
	}
	ifreq.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	// A helper that is just being killed may still have it.
	for end := time.Now().Add(busy); ; time.Sleep(5 * time.Millisecond) {
		if err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifreq); !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		return err
	}
	link, err := netlink.LinkByName(Device)
	if err != nil {
		return err
	}
	// So large that no datagram is fragmented before it is out of N.
	if err := netlink.LinkSetMTU(link, maxPacket); err != nil {
		return err
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: Local.AsSlice(), Mask: net.CIDRMask(24, 32)}}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}
