package tcptest

import (
	"net"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Block makes what is outside of the host's own network out of reach: by an
// "unreachable", "prohibit" or "blackhole" (then the neighbours, too) route, or
// ("gone") without any. The result undoes it.
func Block(t testing.TB, kind string) (undo func()) {
	t.Helper()
	var undoes []func() error
	for _, all := range []string{"0.0.0.0/0", "::/0"} {
		_, dst, err := net.ParseCIDR(all)
		if err != nil {
			t.Fatal(err)
		}
		if kind == "gone" {
			undoes = append(undoes, takeAway(t, dst)...)
			continue
		}
		if kind == "blackhole" {
			undoes = append(undoes, mute(t))
			break
		}
		types := map[string]int{"unreachable": unix.RTN_UNREACHABLE, "prohibit": unix.RTN_PROHIBIT}
		for _, half := range halves(dst) {
			route := &netlink.Route{Dst: half, Type: types[kind]}
			if err := netlink.RouteAdd(route); err != nil {
				t.Fatal(err)
			}
			undoes = append(undoes, func() error { return netlink.RouteDel(route) })
		}
	}
	return func() {
		for _, u := range undoes {
			if err := u(); err != nil {
				t.Error(err)
			}
		}
	}
}

// halves are two networks that win over a default route.
func halves(all *net.IPNet) []*net.IPNet {
	_, bits := all.Mask.Size()
	high := make(net.IP, len(all.IP))
	high[0] = 0x80
	mask := net.CIDRMask(1, bits)
	return []*net.IPNet{{IP: all.IP, Mask: mask}, {IP: high, Mask: mask}}
}

func takeAway(t testing.TB, dst *net.IPNet) (undoes []func() error) {
	family := unix.AF_INET
	if len(dst.IP) == net.IPv6len {
		family = unix.AF_INET6
	}
	routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN, Dst: dst}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if err := netlink.RouteDel(&r); err != nil {
			t.Fatal(err)
		}
		undoes = append(undoes, func() error { return netlink.RouteAdd(&r) })
	}
	return undoes
}

// mute has the host's card drop all that it should send.
func mute(t testing.TB) (undo func() error) {
	link, err := netlink.LinkByName("out0")
	if err != nil {
		t.Fatal(err)
	}
	qdisc := &netlink.GenericQdisc{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_ROOT, Handle: netlink.MakeHandle(1, 0)}, QdiscType: "blackhole"}
	if err := netlink.QdiscAdd(qdisc); err != nil {
		t.Fatal(err)
	}
	return func() error { return netlink.QdiscDel(qdisc) }
}
