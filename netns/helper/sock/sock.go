// Package sock is the system calls that a connection's life consists of, without what
// makes them dear by the thousand: no memory of Go's is allocated, and as none of
// them waits, the runtime is not told that the thread is away. Sockets are
// non-blocking TCP ones.
package sock

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr is an internet address as the kernel takes it, of either family.
type sockaddr unix.RawSockaddrInet6

func (a *sockaddr) set(to netip.AddrPort) (size uintptr) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&a.Port))[:], to.Port())
	if !to.Addr().Is4() {
		a.Family, a.Addr = unix.AF_INET6, to.Addr().As16()
		return unix.SizeofSockaddrInet6
	}
	a.Family = unix.AF_INET
	(*unix.RawSockaddrInet4)(unsafe.Pointer(a)).Addr = to.Addr().As4()
	return unix.SizeofSockaddrInet4
}

func (a *sockaddr) get() netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&a.Port))[:])
	switch a.Family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(a)).Addr), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), port)
	}
	return netip.AddrPort{}
}

// failure is nil for 0. Errno values are small, so the interface costs no memory.
func failure(e unix.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

// Open makes a socket of the family of an address, in the network namespace of the
// calling thread.
func Open(like netip.Addr) (fd int, err error) {
	family := uintptr(unix.AF_INET)
	if !like.Is4() {
		family = unix.AF_INET6
	}
	n, _, e := unix.RawSyscall(unix.SYS_SOCKET, family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if e != 0 {
		return -1, e
	}
	return int(n), nil
}

// Set sets a socket's option to a number.
func Set(fd, level, name, value int) error {
	v := int32(value)
	_, _, e := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name), uintptr(unsafe.Pointer(&v)), unsafe.Sizeof(v), 0)
	return failure(e)
}

// Bind gives a socket its own address. Zones of IPv6 addresses are not looked at, here and
// in Connect.
func Bind(fd int, at netip.AddrPort) error { return address(unix.SYS_BIND, fd, at) }

// Connect begins to connect a socket (EINPROGRESS), or tells how that goes: nil or
// EISCONN, EALREADY, or why it went wrong.
func Connect(fd int, to netip.AddrPort) error { return address(unix.SYS_CONNECT, fd, to) }

func address(call uintptr, fd int, at netip.AddrPort) error {
	var a sockaddr
	size := a.set(at)
	_, _, e := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&a)), size)
	return failure(e)
}

// Accept takes a connection from a listener's queue, and says who the peer is.
func Accept(fd int) (conn int, peer netip.AddrPort, err error) {
	var a sockaddr
	size := uint32(unsafe.Sizeof(a))
	n, _, e := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&a)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if e != 0 {
		return -1, peer, e
	}
	return int(n), a.get(), nil
}

// Name is a socket's own address.
func Name(fd int) (netip.AddrPort, error) {
	var a sockaddr
	size := uint32(unsafe.Sizeof(a))
	_, _, e := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&a)), uintptr(unsafe.Pointer(&size)))
	if e != 0 {
		return netip.AddrPort{}, e
	}
	return a.get(), nil
}

// Read takes what has come; 0 is the end.
func Read(fd int, buf []byte) (int, error) {
	return transfer(unix.SYS_RECVFROM, fd, unsafe.SliceData(buf), len(buf), unix.MSG_DONTWAIT)
}

// Peek is Read that leaves everything where it is.
func Peek(fd int, buf []byte) (int, error) {
	return transfer(unix.SYS_RECVFROM, fd, unsafe.SliceData(buf), len(buf), unix.MSG_DONTWAIT|unix.MSG_PEEK)
}

// Discard takes up to n octets without copying them (tcp(7), MSG_TRUNC).
func Discard(fd, n int) (int, error) {
	return transfer(unix.SYS_RECVFROM, fd, nil, n, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
}

// Write sends as much as there is space for.
func Write(fd int, data []byte) (int, error) {
	return transfer(unix.SYS_SENDTO, fd, unsafe.SliceData(data), len(data), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// WriteMore is Write for what has more behind it, or the end: what fills no segment waits for that,
// so that one carries both.
func WriteMore(fd int, data []byte) (int, error) {
	return transfer(unix.SYS_SENDTO, fd, unsafe.SliceData(data), len(data), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL|unix.MSG_MORE)
}

func transfer(call uintptr, fd int, at *byte, n int, flags uintptr) (int, error) {
	for {
		done, _, e := unix.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(at)), uintptr(n), flags, 0, 0)
		if e == 0 {
			return int(done), nil
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// EndWrites tells the peer that nothing more will come.
func EndWrites(fd int) { unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0) }

// Close closes a socket, with an RST where something was not read.
func Close(fd int) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// Abort closes a socket with an RST.
func Abort(fd int) {
	linger := unix.Linger{Onoff: 1}
	unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER, uintptr(unsafe.Pointer(&linger)), unsafe.Sizeof(linger), 0)
	Close(fd)
}

// Unsent tells whether the peer may still acknowledge something that was sent to it: not after
// its RST, though the kernel goes on counting what it had not acknowledged before.
func Unsent(fd int) bool {
	var n int32
	_, _, e := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCOUTQ, uintptr(unsafe.Pointer(&n)))
	return e == 0 && n > 0 && !Over(fd)
}

// Over tells whether a connection has ended on both sides (tcp(7), TCP_INFO, whose first octet is the state).
func Over(fd int) bool {
	const stateClose = 7 // TCP_CLOSE of linux/tcp_states.h
	var state uint8
	size := uint32(unsafe.Sizeof(state))
	_, _, e := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_TCP, unix.TCP_INFO, uintptr(unsafe.Pointer(&state)), uintptr(unsafe.Pointer(&size)), 0)
	return e == 0 && state == stateClose
}
