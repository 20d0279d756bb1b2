package listen

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// explain puts into words why a port could not be had.
func explain(w store.Port, addr netip.AddrPort, err error, owner func(string, netip.AddrPort) string) error {
	what := fmt.Sprintf("publishing port %s: ", number(w, addr.Port()))
	shown := addr
	if w.HostIP == "" {
		shown = netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port())
	}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		if addr.Port() == 0 {
			return fmt.Errorf("%sno port of %s is free: %w", what, shown.Addr(), err)
		}
		if w.HostPortEnd > w.HostPort {
			what = fmt.Sprintf("publishing port %s: no port of the range %d-%d is free, the last one: ", number(w, w.ContainerPort), w.HostPort, w.HostPortEnd)
		}
		switch name := owner(w.Protocol, addr); name {
		case "":
		case ThisContainer:
			return fmt.Errorf("%sBind for %s failed: port is already allocated, to another port of the container", what, shown)
		default:
			return fmt.Errorf("%sBind for %s failed: port is already allocated, to container %q", what, shown, name)
		}
		text := fmt.Sprintf("%sthe address %s is already in use", what, shown)
		if who := Holder(w.Protocol, addr); who != "" {
			text += " by " + who
		}
		return &inUse{text, err}
	case errors.Is(err, unix.EACCES):
		first := unprivileged()
		return &userns.HostError{
			What: fmt.Sprintf("%sports below %d are privileged on this machine", what, first),
			Hint: fmt.Sprintf("sudo sysctl net.ipv4.ip_unprivileged_port_start=%d", addr.Port()),
			Err:  err,
		}
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%s%s is not an address of this machine: %w", what, addr.Addr(), err)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("%sthis machine has no IPv6: %w", what, err)
	case errors.Is(err, unix.EMFILE):
		return &userns.HostError{What: what + "the network helper has no descriptor left, as each published port takes one", Hint: "publish fewer ports, or raise the limit: ulimit -Hn", Err: err}
	}
	return fmt.Errorf("%s%w", what, err)
}

// inUse says who has a port; the kernel's own words would only repeat that.
type inUse struct {
	text string
	err  error
}

func (e *inUse) Error() string { return e.text }
func (e *inUse) Unwrap() error { return e.err }

// unprivileged is the first port that everybody may bind (ip-sysctl in the kernel's documentation).
func unprivileged() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	n, convErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || convErr != nil {
		return 1024
	}
	return n
}
