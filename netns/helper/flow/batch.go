package flow

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"github.com/skiff-containers/skiff/netns/helper/pages"
	"golang.org/x/sys/unix"
)

const (
	batchLen   = 16
	datagram   = 65536
	controlLen = 64 // IP_TOS or IPV6_TCLASS, and UDP_GRO
)

// batch is the memory of one recvmmsg(2). It is touched, and so made, only as far as
// datagrams reach into it.
type batch struct {
	headers [batchLen]multiHeader
	iovecs  [batchLen]unix.Iovec
	names   [batchLen]unix.RawSockaddrInet6
	control [batchLen][controlLen]byte
	data    []byte
}

// multiHeader is struct mmsghdr.
type multiHeader struct {
	header unix.Msghdr
	length uint32
}

func newBatch() *batch {
	b := &batch{data: pages.Make(batchLen * datagram)}
	for i := range b.headers {
		b.iovecs[i].Base = &b.data[i*datagram]
		b.iovecs[i].SetLen(datagram)
		h := &b.headers[i].header
		h.Iov = &b.iovecs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Control = &b.control[i][0]
	}
	return b
}

// receive takes what the socket has, without waiting.
func (b *batch) receive(fd int) int {
	for i := range b.headers {
		h := &b.headers[i].header
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlLen)
		h.Flags = 0
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers)), batchLen, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n)
		case unix.EINTR:
			continue
		}
		return 0
	}
}

// datagram reads the i-th one. False: it is none that can be passed on.
func (b *batch) datagram(i int) (Datagram, bool) {
	h := &b.headers[i]
	if h.header.Flags&unix.MSG_TRUNC != 0 {
		return Datagram{}, false
	}
	d := Datagram{Data: b.data[i*datagram:][:h.length:h.length]}
	name := &b.names[i]
	switch name.Family {
	case unix.AF_INET:
		name4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		d.From = netip.AddrPortFrom(netip.AddrFrom4(name4.Addr), port(name4.Port))
	case unix.AF_INET6:
		d.From = netip.AddrPortFrom(netip.AddrFrom16(name.Addr), port(name.Port))
	default:
		return Datagram{}, false
	}
	d.readControl(b.control[i][:h.header.Controllen])
	return d, true
}

// port turns a port from or into network byte order.
func port(raw uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], raw)
	return binary.BigEndian.Uint16(b[:])
}

// readControl walks over control messages (cmsg(3)), without allocating.
func (d *Datagram) readControl(b []byte) {
	for len(b) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		if h.Len < unix.SizeofCmsghdr || h.Len > uint64(len(b)) {
			return
		}
		data := b[unix.SizeofCmsghdr:h.Len]
		switch {
		case h.Level == unix.SOL_IP && h.Type == unix.IP_TOS && len(data) >= 1:
			d.TOS = data[0]
		case h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_TCLASS && len(data) >= 4:
			d.TOS = uint8(binary.NativeEndian.Uint32(data))
		case h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			if n := int(binary.NativeEndian.Uint32(data)); n > 0 && n < len(d.Data) {
				d.Segment = n
			}
		}
		next := min(len(b), unix.CmsgSpace(len(data)))
		b = b[next:]
	}
}

// segmentControl is the control message that sets UDP_SEGMENT for one call.
func segmentControl(segment int) []byte {
	b := make([]byte, unix.CmsgSpace(2))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], uint16(segment))
	return b
}
