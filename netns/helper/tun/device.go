// Package tun is the way out of N: the device "skiff0", to which N's kernel routes
// every packet that is for none of its networks, and what the modules behind it need
// to take packets apart and to make answers.
package tun

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/userns"
)

// Name is the device's name in N.
const Name = "skiff0"

// MaxMTU is the largest MTU that a TUN device can have: with it no datagram comes in fragments.
const MaxMTU = 65535

// node is where the kernel offers TUN devices.
const node = "/dev/net/tun"

// busy is how long a device may stay another helper's that is just being killed.
const busy = 3 * time.Second

// Device is the TUN device. Its methods may be called from several goroutines.
type Device struct {
	number  int      // the descriptor, after Close too
	closing *os.File // an eventfd that Close signals; closed when nobody has the Device any more

	mu sync.RWMutex // keeps fd from being closed under a write; a write to a TUN does not wait
	fd int          // -1 after Close

	queues sync.Pool // *queue
}

// Handlers take packets by their protocol, one packet at a time: a handler that waits
// lets the device's queue overflow. A packet, its slices included, is valid during the call
// only. A nil handler drops.
type Handlers struct {
	TCP, UDP, ICMP func(p *Packet) // ICMP is of the packet's family
	// UDPs takes datagrams that have waited together: of one flow, as long as the first,
	// but for the last one, which may be shorter. Nil: UDP takes them.
	UDPs func(p []Packet)
}

// Open makes the device in n, or takes over the one that is there, and makes n send
// everything that it has no network for to it: it sets up the loopback interface, the
// kernel parameters and the routes that the kernel path needs. It is idempotent. The
// device outlives the process; only one process can have it open.
func Open(n *space.Space, mtu int) (*Device, error) {
	var fd int
	err := n.Do(func() error {
		if err := prepare(); err != nil {
			return err
		}
		var err error
		if fd, err = attach(); err != nil {
			return err
		}
		if err := lead(mtu); err != nil {
			unix.Close(fd)
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	closing, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("making an eventfd: %w", err)
	}
	d := &Device{number: fd, closing: os.NewFile(uintptr(closing), "eventfd"), fd: fd}
	d.queues.New = func() any { return new(queue) }
	return d, nil
}

// attach opens the node and makes it the persistent device, with a virtio_net_hdr
// before each packet, which lets checksums and segmentation be left to whoever needs them.
func attach() (int, error) {
	fd, err := unix.Open(node, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, &userns.HostError{What: "opening " + node, Hint: "sudo modprobe tun; in an outer container, pass the device " + node, Err: err}
	}
	if err := become(fd); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("making %s: %w", Name, err)
	}
	return fd, nil
}

func become(fd int) error {
	ifreq, err := unix.NewIfreq(Name)
	if err != nil {
		return err
	}
	ifreq.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	for end := time.Now().Add(busy); ; time.Sleep(5 * time.Millisecond) {
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifreq)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, offloadLen); err != nil {
		return err
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
		return err
	}
	const offloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads|unix.TUN_F_USO4|unix.TUN_F_USO6)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.2
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads)
	}
	return err
}

// Serve reads packets and hands them out until Close, then returns nil. What is no
// sound IP packet is dropped. TCP's go first: one of theirs that gets lost holds up its
// container for a second.
func (d *Device) Serve(h Handlers) error {
	r := d.Read(h)
	for {
		more, err := r.Turn()
		switch {
		case errors.Is(err, os.ErrClosed):
			return nil
		case err != nil:
			return err
		case !more:
			d.await()
		}
	}
}

// await waits, on this very thread, for a packet or for Close.
func (d *Device) await() {
	fds := []unix.PollFd{{Fd: int32(d.number), Events: unix.POLLIN}, {Fd: int32(d.closing.Fd()), Events: unix.POLLIN}}
	unix.Poll(fds, -1)
}

// FD is what to wait at before a Reader's turn, until Close.
func (d *Device) FD() int { return d.number }

// Closing is readable from Close on.
func (d *Device) Closing() int { return int(d.closing.Fd()) }

// Reader is Serve by turns, for a thread that waits for other things as well.
type Reader struct {
	device   *Device
	handlers Handlers
	buf      []byte
	packet   Packet
	later    delayed
	together []Packet
	ahead    int
}

// Read makes a Reader. There is one at a time, used by one goroutine.
func (d *Device) Read(h Handlers) *Reader {
	return &Reader{device: d, handlers: h, buf: make([]byte, offloadLen+MaxMTU+1), together: make([]Packet, maxTogether)}
}

// turn is how many packets may be read before others have their turn.
const turn = 64

// Turn hands out packets that are there. It reports whether there may be more.
// After Close it is os.ErrClosed.
func (r *Reader) Turn() (more bool, err error) {
	for range turn {
		n, err := r.device.read(r.buf)
		switch {
		case errors.Is(err, os.ErrClosed):
			return false, err
		case errors.Is(err, unix.EAGAIN):
			if r.later.empty() {
				return false, nil
			}
		case err != nil:
			return false, fmt.Errorf("reading from %s: %w", Name, err)
		case !r.packet.decode(r.buf[:n]):
			continue
		case r.packet.Proto == unix.IPPROTO_TCP:
			r.handlers.hand(&r.packet)
			continue
		default:
			if r.ahead++; r.later.add(&r.packet, r.buf[:n]) {
				r.ahead += dropAhead - 1
			}
			if r.ahead < readAhead*dropAhead {
				continue
			}
		}
		r.ahead = 0
		if !r.later.empty() {
			r.handlers.handAll(r.later.take(), r.together)
		}
	}
	return true, nil
}

// read reads one packet, or is EAGAIN where there is none.
func (d *Device) read(buf []byte) (int, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.fd < 0 {
		return 0, os.ErrClosed
	}
	for {
		n, _, err := unix.RawSyscall(unix.SYS_READ, uintptr(d.fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)))
		switch err {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, err
		}
	}
}

// decode reads a packet behind its Offload. False: it is none.
func (p *Packet) decode(b []byte) bool {
	if len(b) <= offloadLen || p.parse(b[offloadLen:]) != nil {
		return false
	}
	p.Offload.decode(b)
	return true
}

func (h *Handlers) hand(p *Packet) {
	if handle := h.of(p.Proto); handle != nil {
		handle(p)
	}
}

// handAll hands out what has waited, read into packets.
func (h *Handlers) handAll(taken [][]byte, packets []Packet) {
	packets = packets[:len(taken)]
	together := h.UDPs != nil && len(taken) > 1
	for i, b := range taken {
		packets[i].decode(b)                                            // as before it was kept
		together = together && packets[i].alike() == packets[0].alike() // else their hashes alone are the same
	}
	if together {
		h.UDPs(packets)
		return
	}
	for i := range packets {
		h.hand(&packets[i])
	}
}

func (h *Handlers) of(proto uint8) func(*Packet) {
	switch proto {
	case unix.IPPROTO_TCP:
		return h.TCP
	case unix.IPPROTO_UDP:
		return h.UDP
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		return h.ICMP
	}
	return nil
}

// Write puts one whole IP packet with all its checksums into N, as if it had come
// from the world. EAGAIN means that it was dropped.
func (d *Device) Write(packet []byte) error {
	return d.WriteParts(Offload{}, packet, nil)
}

// queue is the memory of one write.
type queue struct {
	head [offloadLen]byte
	iov  [3]unix.Iovec
}

// WriteParts is Write for a packet in two parts, the second of which may be empty,
// with work left to the kernel as o says.
func (d *Device) WriteParts(o Offload, head, body []byte) error {
	q := d.queues.Get().(*queue)
	defer d.queues.Put(q)
	o.encode(q.head[:])
	for i, part := range [...][]byte{q.head[:], head, body} {
		q.iov[i].Base = unsafe.SliceData(part)
		q.iov[i].SetLen(len(part))
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.fd < 0 {
		return os.ErrClosed
	}
	for {
		_, _, err := unix.RawSyscall(unix.SYS_WRITEV, uintptr(d.fd), uintptr(unsafe.Pointer(&q.iov)), uintptr(len(q.iov)))
		if err != unix.EINTR {
			q.iov = [3]unix.Iovec{}
			if err != 0 {
				return err
			}
			return nil
		}
	}
}

// Close lets go of the device, which stays in N. Serve returns.
func (d *Device) Close() error {
	d.mu.Lock()
	fd := d.fd
	d.fd = -1
	d.mu.Unlock()
	if fd < 0 {
		return os.ErrClosed
	}
	d.closing.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0})
	return unix.Close(fd)
}
