package tun

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Mark is what the firewall puts on packets that are for a socket in N, though their
// destination is an address of the world's.
const Mark = 1

// Silent is the mark (SO_MARK) of sockets in N that shall send nothing any more: what
// they had for an address is not for its next holder.
const Silent = 2

const (
	table    = 100  // where Mark's routes are
	priority = 100  // of the rule that leads there, and of the one that Silent ends at
	backlog  = 2000 // packets that wait for the helper
)

// parameters of N's kernel. Missing ones are passed over: IPv6 may be off.
var parameters = []struct{ path, value string }{
	{"ipv4/ip_forward", "1"},
	{"ipv4/conf/all/rp_filter", "0"}, // marked packets do not come by the route back
	{"ipv4/conf/default/rp_filter", "0"},
	{"ipv4/conf/all/send_redirects", "0"},
	{"ipv4/conf/default/send_redirects", "0"},
	// What follows a new namespace takes over from the host.
	{"ipv4/conf/all/accept_redirects", "0"},
	{"ipv4/conf/default/accept_redirects", "0"},
	{"ipv4/conf/all/accept_source_route", "0"},
	{"ipv4/conf/all/route_localnet", "0"},
	{"ipv4/conf/default/route_localnet", "0"},
	{"ipv4/conf/all/proxy_arp", "0"},
	{"ipv4/conf/default/proxy_arp", "0"},
	// A SYN for a tuple in TIME_WAIT would be given to that socket before the
	// firewall could lead it to the listener, and vanish.
	{"ipv4/tcp_early_demux", "0"},
	// With a SYN cookie there is no socket yet that the rest of a handshake could find.
	{"ipv4/tcp_syncookies", "0"},
	// All containers share the listeners' queues: half-open handshakes leave after
	// three seconds, and have room until then.
	{"ipv4/tcp_synack_retries", "1"},
	{"ipv4/tcp_max_syn_backlog", "65535"},
	{"core/somaxconn", "65535"},
	// What N sends goes to containers, by a veth: there is no rate to be found out, and what
	// BBR does for it where the host prefers that, timers between packets above all,
	// costs up to half the throughput. Reno is in each kernel, and allowed in each namespace.
	{"ipv4/tcp_congestion_control", "reno"},
	{"ipv6/conf/all/disable_ipv6", "0"},
	{"ipv6/conf/default/disable_ipv6", "0"},
	{"ipv6/conf/all/forwarding", "1"},
	{"ipv6/conf/default/forwarding", "1"},
	{"ipv6/conf/all/accept_ra", "0"},
	{"ipv6/conf/default/accept_ra", "0"},
	{"ipv6/conf/all/accept_dad", "0"},
	{"ipv6/conf/default/accept_dad", "0"}, // addresses are usable at once
}

// ofDevice are the parameters of the device: nothing shall be sent to the helper on
// N's own account.
var ofDevice = []struct{ path, value string }{
	{"ipv4/conf/" + Name + "/rp_filter", "0"},
	{"ipv6/conf/" + Name + "/addr_gen_mode", "1"},
	{"ipv6/conf/" + Name + "/accept_ra", "0"},
	{"ipv6/conf/" + Name + "/accept_dad", "0"},
}

// prepare is what N needs before the device.
func prepare() error {
	for _, p := range parameters {
		if err := set(p.path, p.value); err != nil {
			return err
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("setting lo up: %w", err)
	}
	return nil
}

// lead makes N route to the device, and packets with Mark to itself.
func lead(mtu int) error {
	link, err := netlink.LinkByName(Name)
	if err != nil {
		return fmt.Errorf("finding %s: %w", Name, err)
	}
	for _, p := range ofDevice {
		if err := set(p.path, p.value); err != nil {
			return err
		}
	}
	if link.Attrs().TxQLen != backlog {
		if err := netlink.LinkSetTxQLen(link, backlog); err != nil {
			return fmt.Errorf("giving %s a queue: %w", Name, err)
		}
	}
	if link.Attrs().MTU != mtu {
		if err := netlink.LinkSetMTU(link, mtu); err != nil {
			return fmt.Errorf("setting the MTU of %s to %d: %w", Name, mtu, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("setting %s up: %w", Name, err)
	}
	for _, family := range families() {
		if err := routes(link.Attrs().Index, family.number, family.all); err != nil {
			return fmt.Errorf("routing %s by %s: %w", family.all, Name, err)
		}
	}
	return nil
}

type family struct {
	number int
	all    *net.IPNet
}

func families() []family {
	all := []family{{unix.AF_INET, &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}}}
	if _, err := os.Stat("/proc/sys/net/ipv6"); err == nil {
		all = append(all, family{unix.AF_INET6, &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}})
	}
	return all
}

func routes(device, family int, all *net.IPNet) error {
	if err := netlink.RouteReplace(&netlink.Route{LinkIndex: device, Dst: all, Scope: netlink.SCOPE_LINK, Family: family}); err != nil {
		return err
	}
	const lo = 1 // in every network namespace
	local := &netlink.Route{LinkIndex: lo, Dst: all, Scope: netlink.SCOPE_HOST, Type: unix.RTN_LOCAL, Table: table, Family: family}
	if err := netlink.RouteReplace(local); err != nil {
		return err
	}
	marked, silent := netlink.NewRule(), netlink.NewRule()
	marked.Family, marked.Mark, marked.Table, marked.Priority = family, Mark, table, priority
	silent.Family, silent.Mark, silent.Type, silent.Priority = family, Silent, unix.RTN_BLACKHOLE, priority
	for _, rule := range []*netlink.Rule{marked, silent} {
		if err := netlink.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return nil
}

// set writes a kernel parameter of the calling thread's network namespace, unless it
// has the value already.
func set(path, value string) error {
	path = "/proc/sys/net/" + path
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(old) > 0 && string(old[:len(old)-1]) == value {
		return nil
	}
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		return fmt.Errorf("setting %s: %w", path, err)
	}
	return nil
}
