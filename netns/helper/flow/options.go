package flow

import (
	"golang.org/x/sys/unix"
)

// How a datagram is sent: what its IP header says.
type How struct {
	DontFragment bool
	TTL          uint8
	TOS          uint8
}

// options are those of a socket as they were last set. Most containers never change them.
type options struct {
	known bool
	how   How
}

func (o *options) set(fd int, v6 bool, how How) {
	if o.known && o.how == how {
		return
	}
	level, discover, ttl, tos := unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_TTL, unix.IP_TOS
	if v6 {
		level, discover, ttl, tos = unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_UNICAST_HOPS, unix.IPV6_TCLASS
	}
	if !o.known || o.how.DontFragment != how.DontFragment {
		mode := unix.IP_PMTUDISC_DONT
		if how.DontFragment {
			mode = unix.IP_PMTUDISC_DO
		}
		unix.SetsockoptInt(fd, level, discover, mode)
	}
	if !o.known || o.how.TTL != how.TTL {
		unix.SetsockoptInt(fd, level, ttl, max(1, int(how.TTL)))
	}
	if !o.known || o.how.TOS != how.TOS {
		unix.SetsockoptInt(fd, level, tos, int(how.TOS))
	}
	o.known, o.how = true, how
}

// maxSegments is UDP_MAX_SEGMENTS of linux/udp.h.
const maxSegments = 128

// sendTo is sendto(2), with UDP_SEGMENT (udp(7)) where data is several datagrams. A
// device or path that cannot have that gets them one by one.
func sendTo(fd int, data []byte, to unix.Sockaddr, segment int) error {
	if segment == 0 || segment >= len(data) {
		return unix.Sendto(fd, data, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, to)
	}
	_, err := unix.SendmsgN(fd, data, segmentControl(segment), to, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if !unbundled(err) {
		return err
	}
	if len(data) > segment*maxSegments {
		return nil // no kernel makes such a bundle: somebody tries to keep us busy
	}
	for len(data) > 0 {
		n := min(segment, len(data))
		if err := unix.Sendto(fd, data[:n], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, to); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// unbundled tells of an error of UDP_SEGMENT that the datagrams alone may not have.
func unbundled(err error) bool {
	return err == unix.EINVAL || err == unix.EIO || err == unix.EMSGSIZE
}
