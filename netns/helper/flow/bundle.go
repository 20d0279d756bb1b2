package flow

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxBundle is how many datagrams can go out in one go: UDP_MAX_SEGMENTS of
// linux/udp.h was 64 once.
const MaxBundle = 64

// Bundle is datagrams to be sent in one go, and the memory that this takes: nothing is
// allocated while they flow. It is for one goroutine; the zero value is empty.
type Bundle struct {
	datagrams [][]byte
	header    unix.Msghdr
	iovecs    [MaxBundle]unix.Iovec
	control   []byte
	name4     unix.RawSockaddrInet4
	name6     unix.RawSockaddrInet6
}

// Reset empties it.
func (b *Bundle) Reset() { b.datagrams = b.datagrams[:0] }

// Add takes one datagram more, which stays the caller's. False: it does not go
// together with the others, which are of one size that is not 0; only the last may be shorter.
func (b *Bundle) Add(data []byte) bool {
	n := len(b.datagrams)
	if n == MaxBundle || len(data) == 0 || n > 0 && (len(data) > len(b.datagrams[0]) || len(b.datagrams[n-1]) < len(b.datagrams[0])) {
		return false
	}
	b.datagrams = append(b.datagrams, data)
	return true
}

// send is sendmsg(2) with UDP_SEGMENT.
func (b *Bundle) send(fd int, to unix.Sockaddr) error {
	for i, data := range b.datagrams {
		b.iovecs[i].Base = &data[0]
		b.iovecs[i].SetLen(len(data))
	}
	if b.control == nil {
		b.control = segmentControl(0)
	}
	binary.NativeEndian.PutUint16(b.control[unix.CmsgLen(0):], uint16(len(b.datagrams[0])))
	h := &b.header
	*h = unix.Msghdr{Iov: &b.iovecs[0], Control: &b.control[0]}
	h.SetIovlen(len(b.datagrams))
	h.SetControllen(len(b.control))
	b.address(to)
	for {
		_, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(h)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
			continue
		}
		return errno
	}
}

func (b *Bundle) address(to unix.Sockaddr) {
	switch to := to.(type) {
	case *unix.SockaddrInet4:
		b.name4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port(uint16(to.Port)), Addr: to.Addr}
		b.header.Name, b.header.Namelen = (*byte)(unsafe.Pointer(&b.name4)), unix.SizeofSockaddrInet4
	case *unix.SockaddrInet6:
		b.name6 = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port(uint16(to.Port)), Addr: to.Addr}
		b.header.Name, b.header.Namelen = (*byte)(unsafe.Pointer(&b.name6)), unix.SizeofSockaddrInet6
	}
}
