package link

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const create = unix.NLM_F_CREATE | unix.NLM_F_EXCL

// onLink is a request about an interface; change and flags are those of ifinfomsg.
func onLink(kind, flags int, change, value uint32, what string, attributes ...*nl.RtAttr) *request {
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Change, m.Flags = change, value
	r := &request{kind: kind, flags: flags, what: what, parts: []nl.NetlinkRequestData{m}}
	for _, a := range attributes {
		r.parts = append(r.parts, a)
	}
	return r
}

func deleteLink(name string) *request {
	r := onLink(unix.RTM_DELLINK, 0, 0, 0, fmt.Sprintf("removing interface %q", name), ifname(name))
	r.fine = []unix.Errno{unix.ENODEV}
	return r
}

// changeLink changes an interface that is there; it is up afterwards.
func changeLink(name, what string, attributes ...*nl.RtAttr) *request {
	return onLink(unix.RTM_NEWLINK, 0, unix.IFF_UP, unix.IFF_UP, what, append(attributes, ifname(name))...)
}

func getLink(name string, reply *[]byte) *request {
	r := onLink(unix.RTM_GETLINK, 0, 0, 0, fmt.Sprintf("finding interface %q", name), ifname(name))
	r.reply = reply
	return r
}

// index of the interface that a reply to getLink is about.
func index(reply []byte) (int, error) {
	if len(reply) < unix.SizeofIfInfomsg {
		return 0, fmt.Errorf("finding an interface: %w", unix.EPROTO)
	}
	return int(int32(binary.NativeEndian.Uint32(reply[4:]))), nil
}

func ifname(name string) *nl.RtAttr { return nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)) }

func number(kind int, value int) *nl.RtAttr { return nl.NewRtAttr(kind, nl.Uint32Attr(uint32(value))) }

func hardware(mac net.HardwareAddr) *nl.RtAttr { return nl.NewRtAttr(unix.IFLA_ADDRESS, mac) }

// linkInfo says what kind an interface is of, with data of that kind.
func linkInfo(kind string, data func(*nl.RtAttr)) *nl.RtAttr {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kind))
	if data != nil {
		data(info.AddRtAttr(nl.IFLA_INFO_DATA, nil))
	}
	return info
}

// addAddress gives an interface an address that is usable at once.
func addAddress(index int, p netip.Prefix, what string) *request {
	family, flags := unix.AF_INET, uint32(0)
	if p.Addr().Is6() {
		family, flags = unix.AF_INET6, unix.IFA_F_NODAD
	}
	m := nl.NewIfAddrmsg(family)
	m.Index, m.Prefixlen, m.Flags = uint32(index), uint8(p.Bits()), uint8(flags)
	addr := p.Addr().AsSlice()
	r := &request{
		kind: unix.RTM_NEWADDR, flags: create, what: fmt.Sprintf("%s: giving it the address %s", what, p), fine: []unix.Errno{unix.EEXIST},
		parts: []nl.NetlinkRequestData{m, nl.NewRtAttr(unix.IFA_LOCAL, addr), nl.NewRtAttr(unix.IFA_ADDRESS, addr)},
	}
	if p.Addr().Is4() && p.Bits() < 31 {
		r.parts = append(r.parts, nl.NewRtAttr(unix.IFA_BROADCAST, broadcast(p)))
	}
	return r
}

func broadcast(p netip.Prefix) []byte {
	a := p.Addr().As4()
	for i, m := range net.CIDRMask(p.Bits(), 32) {
		a[i] |= ^m
	}
	return a[:]
}

// defaultRoute makes gateway what packets go to that are for no network of the
// interface's namespace, whatever it was before.
func defaultRoute(index int, gateway netip.Addr, what string) *request {
	m := nl.NewRtMsg()
	m.Family = unix.AF_INET
	if gateway.Is6() {
		m.Family = unix.AF_INET6
	}
	m.Protocol = unix.RTPROT_STATIC
	return &request{
		kind: unix.RTM_NEWROUTE, flags: unix.NLM_F_CREATE | unix.NLM_F_REPLACE, what: fmt.Sprintf("%s: routing by %s", what, gateway),
		parts: []nl.NetlinkRequestData{m, nl.NewRtAttr(unix.RTA_GATEWAY, gateway.AsSlice()), number(unix.RTA_OIF, index)},
	}
}
