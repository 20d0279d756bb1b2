package flow

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/tun"
)

// Failure is what became of a datagram that a container had sent some time ago.
type Failure struct {
	To     netip.AddrPort // as the container knows it
	From   netip.Addr     // who says so; not valid: the destination itself
	Reason tun.Reason
	MTU    int    // with tun.TooBig
	Quoted []byte // the begin of the datagram, behind the UDP header, or from the ICMP header on
}

// rawFailure is a Failure as the host knows it.
type rawFailure struct {
	to      netip.AddrPort
	offends netip.Addr
	reason  tun.Reason
	mtu     int
	quoted  []byte
}

// drainAtMost is how many errors are read at a time: the queue is as long as the
// socket's receive buffer allows, and the rest is told of again.
const drainAtMost = 32

// drain reads a socket's queue of errors (IP_RECVERR, ip(7)), and what is pending
// besides. What this machine says of its own account is left out: the call has returned it.
func drain(fd int) (failures []rawFailure) {
	var data [256]byte
	var control [256]byte
	for range drainAtMost {
		n, controlLen, _, from, err := unix.Recvmsg(fd, data[:], control[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
			return failures
		}
		e, ok := parseError(control[:controlLen])
		if !ok {
			continue
		}
		if f, ok := e.failure(addrPort(from)); ok {
			f.quoted = append([]byte(nil), data[:n]...)
			failures = append(failures, f)
		}
	}
	return failures
}

// extendedError is struct sock_extended_err with the address that follows it.
type extendedError struct {
	origin     uint8
	kind, code uint8
	info       uint32
	offender   netip.Addr
}

func parseError(control []byte) (e extendedError, ok bool) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return e, false
	}
	for _, m := range messages {
		v4 := m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_RECVERR
		v6 := m.Header.Level == unix.SOL_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !v4 && !v6 || len(m.Data) < 16 {
			continue
		}
		b := m.Data
		e = extendedError{origin: b[4], kind: b[5], code: b[6], info: binary.NativeEndian.Uint32(b[8:])}
		switch rest := b[16:]; { // struct sockaddr_in or sockaddr_in6
		case len(rest) >= 8 && binary.NativeEndian.Uint16(rest) == unix.AF_INET:
			e.offender = netip.AddrFrom4([4]byte(rest[4:8]))
		case len(rest) >= 24 && binary.NativeEndian.Uint16(rest) == unix.AF_INET6:
			e.offender = netip.AddrFrom16([16]byte(rest[8:24])).Unmap()
		}
		return e, true
	}
	return e, false
}

// failure reads an ICMP error by RFC 792, RFC 1122 and RFC 4443. False: it says nothing
// that concerns the sender.
func (e *extendedError) failure(to netip.AddrPort) (rawFailure, bool) {
	f := rawFailure{to: to, offends: e.offender}
	switch e.origin {
	case unix.SO_EE_ORIGIN_ICMP:
		f.reason = reason4(e.kind, e.code)
	case unix.SO_EE_ORIGIN_ICMP6:
		f.reason = reason6(e.kind, e.code)
	}
	if f.reason == tun.TooBig {
		f.mtu = int(e.info)
	}
	return f, f.reason != 0 && to.Addr().IsValid()
}

func reason4(kind, code uint8) tun.Reason {
	switch {
	case kind == 11:
		return tun.Expired
	case kind != 3:
		return 0
	}
	switch code {
	case 0, 6, 11:
		return tun.NetUnreachable
	case 2, 3:
		return tun.PortUnreachable
	case 4:
		return tun.TooBig
	case 9, 10, 13:
		return tun.Prohibited
	}
	return tun.HostUnreachable
}

func reason6(kind, code uint8) tun.Reason {
	switch kind {
	case 2:
		return tun.TooBig
	case 3:
		return tun.Expired
	case 1:
		switch code {
		case 0:
			return tun.NetUnreachable
		case 1, 5, 6:
			return tun.Prohibited
		case 4:
			return tun.PortUnreachable
		}
		return tun.HostUnreachable
	}
	return 0
}

// tell passes on what became of datagrams.
func (f *Flow) tell(failures []rawFailure) {
	for _, r := range failures {
		to, ok := f.inside(r.to.Addr())
		if !ok {
			continue
		}
		from := r.offends
		// The host's own addresses would be martians in N where they are loopback ones,
		// and mean nothing to the container where it calls the host by another.
		if !from.IsValid() || from == r.to.Addr() || from.IsLoopback() || to != r.to.Addr() {
			from = netip.Addr{}
		}
		if m, _ := f.table.cfg.Directory.Of(from); m != nil {
			from = netip.Addr{} // nobody outside speaks for a container
		}
		f.table.cfg.Protocol.Fail(f, Failure{To: netip.AddrPortFrom(to, r.to.Port()), From: from, Reason: r.reason, MTU: r.mtu, Quoted: r.quoted})
	}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
