package ports

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"github.com/skiff-containers/skiff/netns/helper/pages"
	"golang.org/x/sys/unix"
)

const (
	batchSize   = 16
	maxDatagram = 64 << 10
	controlSize = 64 // room for one IPV6_PKTINFO
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	length uint32
	_      [4]byte
}

// batch is what recvmmsg(2) fills and sendmmsg(2) sends: buffers that all UDP ports of
// a loop use in turn. Memory that no datagram was long enough for is never touched.
type batch struct {
	in       [batchSize]mmsghdr
	out      [batchSize]mmsghdr
	vectors  [batchSize]unix.Iovec
	names    [batchSize]unix.RawSockaddrInet6 // an IPv4 one has room in it
	controls [batchSize][controlSize]byte
	buffers  []byte
}

func newBatch() *batch {
	b := &batch{buffers: pages.Make(batchSize * maxDatagram)}
	for i := range b.in {
		b.vectors[i].Base = &b.buffers[i*maxDatagram]
		h := &b.in[i].Msghdr
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Iov, h.Iovlen = &b.vectors[i], 1
		h.Control = &b.controls[i][0]
	}
	return b
}

// receive fills the batch from a socket and returns how many datagrams came.
func (b *batch) receive(fd int) (int, error) {
	for i := range b.in {
		h := &b.in[i].Msghdr
		h.Namelen = uint32(unsafe.Sizeof(b.names[i]))
		h.Controllen = controlSize
		h.Flags = 0
		b.vectors[i].Len = maxDatagram
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.in[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// from is who sent a received datagram.
func (b *batch) from(i int) netip.AddrPort {
	n := &b.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&n.Port))[:])
	if n.Family == unix.AF_INET {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(n))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(n.Addr), port)
}

// to is the host's address that a received datagram was sent to, with the interface
// of an IPv6 one.
func (b *batch) to(i int) (addr netip.Addr, index uint32) {
	control := b.controls[i][:min(int(b.in[i].Controllen), controlSize)]
	for len(control) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		if h.Len < unix.SizeofCmsghdr || uint64(h.Len) > uint64(len(control)) {
			break
		}
		data := control[unix.CmsgLen(0):h.Len]
		switch {
		case h.Level == unix.SOL_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			info := (*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0]))
			return netip.AddrFrom4(info.Spec_dst), 0
		case h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0]))
			return netip.AddrFrom16(info.Addr), info.Ifindex
		}
		next := unix.CmsgSpace(int(h.Len) - unix.CmsgLen(0))
		if next > len(control) {
			break
		}
		control = control[next:]
	}
	return netip.Addr{}, 0
}

// forward sends the datagrams from first up to end, as they were received, from a socket: to
// name with control, or where it is connected to. An error of an earlier datagram
// that the kernel reports here is passed over; so is a datagram that does not go out.
func (b *batch) forward(fd, first, end int, name []byte, control []byte) {
	for i := first; i < end; i++ {
		b.vectors[i].Len = uint64(min(b.in[i].length, maxDatagram))
		h := &b.out[i].Msghdr
		*h = unix.Msghdr{Iov: &b.vectors[i], Iovlen: 1}
		if len(name) > 0 {
			h.Name, h.Namelen = &name[0], uint32(len(name))
		}
		if len(control) > 0 {
			h.Control, h.Controllen = &control[0], uint64(len(control))
		}
	}
	for errors := 0; first < end && errors <= batchSize; {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.out[first])), uintptr(end-first), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno == unix.ECONNREFUSED && errors == 0:
			errors++ // of an earlier one; this one may go out
		case errno != 0:
			errors++
			first++
		default:
			first += int(n)
		}
	}
}

// nameOf is an address as sendmsg(2) takes it on a socket of a family.
func nameOf(a netip.AddrPort, index uint32, family int) []byte {
	if family == unix.AF_INET {
		var n unix.RawSockaddrInet4
		n.Family, n.Addr = unix.AF_INET, a.Addr().Unmap().As4()
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&n.Port))[:], a.Port())
		return append([]byte(nil), (*[unix.SizeofSockaddrInet4]byte)(unsafe.Pointer(&n))[:]...)
	}
	var n unix.RawSockaddrInet6
	n.Family, n.Addr = unix.AF_INET6, a.Addr().As16()
	if a.Addr().IsLinkLocalUnicast() {
		n.Scope_id = index
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&n.Port))[:], a.Port())
	return append([]byte(nil), (*[unix.SizeofSockaddrInet6]byte)(unsafe.Pointer(&n))[:]...)
}

// controlOf says from which of the host's addresses to send, as a control message.
func controlOf(addr netip.Addr, index uint32, family int) []byte {
	if !addr.IsValid() || addr.IsMulticast() {
		return nil
	}
	if family == unix.AF_INET {
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: addr.Unmap().As4()})
	}
	info := &unix.Inet6Pktinfo{Addr: addr.As16()}
	if addr.IsLinkLocalUnicast() {
		info.Ifindex = index
	}
	return unix.PktInfo6(info)
}
