package flow

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/member"
)

// Flow is a socket of a container's and the host's socket that stands for it.
type Flow struct {
	Source netip.AddrPort // in N
	owner  string         // id of the container
	table  *Table
	number uint64

	used    atomic.Int64 // when it last carried something, since the table's start
	replied atomic.Bool
	other   atomic.Bool // something was sent to another port than that of DNS

	life sync.RWMutex // keeps fd from being closed under a call, none of which waits
	fd   int          // -1 when closed

	mu    sync.Mutex
	peers map[netip.Addr]struct{} // who may answer, as the host knows them
	route route
	host  netip.Addr // what member.HostAddress was for the last datagram to it
	opts  options
	sa4   unix.SockaddrInet4 // of the datagram being sent
	sa6   unix.SockaddrInet6
}

// route is where the last datagram's destination leads.
type route struct {
	to, target netip.Addr
	at         time.Duration
	singly     bool // no bundles go there
}

const (
	// maxPeers is how many addresses one flow may hear from. With more, which some
	// programs have, one at random is forgotten.
	maxPeers = 1024
	// stale is after how long it is asked again where a destination leads: the host's
	// own address changes with the network that it is in, a container's rights with its networks.
	stale = 2 * time.Second

	portDNS = 53
)

// Replied tells whether anything ever came back.
func (f *Flow) Replied() bool { return f.replied.Load() }

// OnlyDNS tells whether the flow has asked name servers and nobody else.
func (f *Flow) OnlyDNS() bool { return !f.other.Load() }

func (f *Flow) now() time.Duration { return time.Since(f.table.start) }

func (f *Flow) touch() { f.used.Store(int64(f.now())) }

func (f *Flow) idle() time.Duration { return f.now() - time.Duration(f.used.Load()) }

// owned tells whether the address is still the container's. It may have been given to another one.
func (f *Flow) owned() bool {
	m, _ := f.table.cfg.Directory.Of(f.Source.Addr())
	return m != nil && m.ID() == f.owner
}

func (f *Flow) close() {
	f.life.Lock()
	defer f.life.Unlock()
	if f.fd >= 0 {
		unix.Close(f.fd)
		f.fd = -1
	}
}

// resolveLocked says where a datagram to some address goes, and lets answers from there in.
func (f *Flow) resolveLocked(to netip.AddrPort) (netip.Addr, error) {
	now := f.now()
	f.used.Store(int64(now))
	if to.Addr() == f.route.to && now-f.route.at < stale {
		return f.route.target, nil
	}
	target, m, err := f.table.cfg.Directory.Target(f.Source.Addr(), to)
	if err != nil {
		return netip.Addr{}, err
	}
	if m.ID() != f.owner {
		return netip.Addr{}, member.ErrProhibited
	}
	if len(f.peers) >= maxPeers {
		for one := range f.peers {
			delete(f.peers, one)
			break
		}
	}
	f.peers[target.Addr()] = struct{}{}
	switch {
	case to.Addr() == member.HostAddress:
		f.host = target.Addr()
	case target.Addr() == f.host: // the container uses the host's own address now
		f.host = netip.Addr{}
	}
	f.route = route{to: to.Addr(), target: target.Addr(), at: now}
	return target.Addr(), nil
}

// inside turns an address of the world's into that which the container uses for it.
// False: the container has nothing to do with it.
func (f *Flow) inside(addr netip.Addr) (netip.Addr, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.peers[addr]; !ok {
		return netip.Addr{}, false
	}
	if addr == f.host {
		return member.HostAddress, true
	}
	return addr, true
}

// admit is inside for a datagram's sender. None of N's own addresses comes from outside.
func (f *Flow) admit(addr netip.Addr) (netip.Addr, bool) {
	if m, _ := f.table.cfg.Directory.Of(addr); m != nil {
		return netip.Addr{}, false
	}
	return f.inside(addr)
}

// TooBigError: the way to the destination takes packets of MTU octets, and this one
// must not be fragmented.
type TooBigError struct{ MTU int }

func (*TooBigError) Error() string { return "packet too big" }

// Unwrap makes it EMSGSIZE.
func (*TooBigError) Unwrap() error { return unix.EMSGSIZE }

// Send sends a datagram, or several of segment octets each where that is not 0, to a
// destination as the container knows it. Where the host's socket cannot take it at this moment
// it is dropped, as by any router. It wraps member.ErrProhibited, *TooBigError and the
// kernel's error numbers.
func (f *Flow) Send(to netip.AddrPort, data []byte, how How, segment int) error {
	failures, err := f.send(to, how, func(address unix.Sockaddr) error { return sendTo(f.fd, data, address, segment) })
	f.tell(failures)
	return err
}

// SendAll is Send for a bundle of at least one, which is sent in one go where its way
// can have that.
func (f *Flow) SendAll(to netip.AddrPort, b *Bundle, how How) error {
	failures, err := f.send(to, how, func(address unix.Sockaddr) error {
		if f.route.singly {
			return errSingly
		}
		err := b.send(f.fd, address)
		if !unbundled(err) {
			return err
		}
		f.route.singly = true
		return errSingly
	})
	f.tell(failures)
	if !errors.Is(err, errSingly) {
		return err
	}
	err = nil
	for _, data := range b.datagrams {
		if e := f.Send(to, data, how, 0); err == nil {
			err = e
		}
	}
	return err
}

// errSingly: the way takes no bundles.
var errSingly = errors.New("datagrams have to be sent one by one")

// send prepares the socket and calls try, which sends, with f.mu held.
func (f *Flow) send(to netip.AddrPort, how How, try func(unix.Sockaddr) error) ([]rawFailure, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	target, err := f.resolveLocked(to)
	if err != nil {
		return nil, err
	}
	if to.Port() != portDNS {
		f.other.Store(true)
	}
	f.life.RLock()
	defer f.life.RUnlock()
	if f.fd < 0 {
		return nil, nil // closed since it was looked up: the datagram is lost
	}
	f.opts.set(f.fd, target.Is6(), how)
	address := f.addressLocked(target, to.Port())
	var failures []rawFailure
	// An earlier datagram's error is reported by the next call, whatever that is: what
	// persists is this one's.
	for range 3 {
		err = try(address)
		if err == nil || errors.Is(err, errSingly) {
			return failures, err
		}
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) {
			return failures, nil
		}
		failures = append(failures, drain(f.fd)...)
	}
	if errors.Is(err, unix.EMSGSIZE) {
		err = tooBig(address)
	}
	return failures, err
}

// tooBig asks for the MTU of the way to an address, which only a connected socket is told.
func tooBig(to unix.Sockaddr) error {
	family, level, option := unix.AF_INET, unix.SOL_IP, unix.IP_MTU
	if _, v6 := to.(*unix.SockaddrInet6); v6 {
		family, level, option = unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_MTU
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, to); err != nil {
		return err
	}
	mtu, err := unix.GetsockoptInt(fd, level, option)
	if err != nil {
		return err
	}
	return &TooBigError{MTU: mtu}
}

func (f *Flow) addressLocked(addr netip.Addr, port uint16) unix.Sockaddr {
	if addr.Is4() {
		f.sa4.Addr, f.sa4.Port = addr.As4(), int(port)
		return &f.sa4
	}
	f.sa6.Addr, f.sa6.Port = addr.As16(), int(port)
	return &f.sa6
}
