package ports

import (
	"net/netip"
	"time"

	"github.com/skiff-containers/skiff/netns/helper/listen"
	"github.com/skiff-containers/skiff/netns/helper/relay"
	"golang.org/x/sys/unix"
)

// A flow that nothing passes is forgotten: sooner where the container never answered
// (as the kernel's connection tracking does, nf_conntrack_udp_timeout).
const (
	idleUnanswered = 60 * time.Second
	idleAnswered   = 180 * time.Second
)

// maxFlows bounds the clients of one UDP port. Past it the one that was silent longest is forgotten.
const maxFlows = 1024

// datagrams is a published UDP port: one socket on the host's side for all clients,
// in N one for each.
type datagrams struct {
	share   *share
	socket  *listen.Socket
	token   relay.Token
	family  int
	port    uint16 // the container's
	flows   map[flowKey]*flow
	oldest  *flow // a list in the order of last use
	newest  *flow
	ticking bool
}

// flowKey is a client and the host's address that it talks to.
type flowKey struct {
	client netip.AddrPort
	host   netip.Addr
	index  uint32 // the interface, where the addresses alone do not say it
}

// tuple is a flow as N and the container see it.
type tuple struct{ client, target netip.AddrPort }

// flow is one client's datagrams.
type flow struct {
	port     *datagrams
	key      flowKey
	tuple    tuple
	fd       int // in N, connected to the container
	token    relay.Token
	name     []byte // the client, for sendmsg(2)
	control  []byte // the host's address to answer from
	used     time.Time
	answered bool
	prev     *flow
	next     *flow
}

func (s *share) receive(socket *listen.Socket) (err error) {
	d := &datagrams{share: s, socket: socket, port: socket.Port.ContainerPort, family: unix.AF_INET, flows: map[flowKey]*flow{}}
	if socket.Addr.Addr().Is6() {
		d.family = unix.AF_INET6
	}
	if d.token, err = s.loop.Add(socket.FD, unix.EPOLLIN, d); err == nil {
		s.datagrams[socket] = d
	}
	return err
}

// Ready takes in what clients have sent. Successive datagrams of one client go on in one call.
func (d *datagrams) Ready(uint32) {
	b := d.share.loop.batch
	n, err := b.receive(d.socket.FD)
	if err != nil {
		return
	}
	for first := 0; first < n; {
		key := d.keyOf(b, first)
		end := first + 1
		for end < n && d.keyOf(b, end) == key {
			end++
		}
		if f := d.flowOf(key); f != nil {
			d.use(f)
			b.forward(f.fd, first, end, nil, nil)
		}
		first = end
	}
}

func (d *datagrams) keyOf(b *batch, i int) flowKey {
	key := flowKey{client: b.from(i)}
	key.host, key.index = b.to(i)
	if !key.client.Addr().IsLinkLocalUnicast() && !key.host.IsLinkLocalUnicast() {
		key.index = 0
	}
	return key
}

// flowOf finds or makes a client's flow; nil where none can be had.
func (d *datagrams) flowOf(key flowKey) *flow {
	if f := d.flows[key]; f != nil {
		return f
	}
	if key.client.Port() == 0 {
		return nil
	}
	source, target, ok := d.share.routes.choose(key.client, d.port)
	if !ok {
		return nil
	}
	if len(d.flows) >= maxFlows {
		d.forget(d.oldest)
	}
	f := &flow{port: d, key: key, tuple: tuple{source, target},
		name: nameOf(key.client, key.index, d.family), control: controlOf(key.host, key.index, d.family)}
	if !d.open(f) {
		return nil
	}
	d.flows[key] = f
	d.append(f)
	if !d.ticking {
		d.ticking = true
		d.share.loop.Tick(d.expire)
	}
	return f
}

// open makes the socket in N. A client that talks to one container port by several
// addresses of the host is itself in one of the flows only: the others would not be told apart.
func (d *datagrams) open(f *flow) bool {
	s := d.share
	_, taken := s.tuples[f.tuple]
	fd, err := -1, error(unix.EADDRINUSE)
	if !taken {
		fd, err = dialDatagrams(f.tuple.client, f.tuple.target)
	}
	if err == unix.EADDRINUSE || err == unix.EADDRNOTAVAIL {
		f.tuple.client = s.routes.standIn(f.tuple.target.Addr())
		fd, err = dialDatagrams(f.tuple.client, f.tuple.target)
	}
	if err != nil {
		return false
	}
	if f.token, err = s.loop.Add(fd, unix.EPOLLIN, f); err != nil {
		unix.Close(fd)
		return false
	}
	f.fd = fd
	if f.tuple.client.Port() != 0 {
		s.tuples[f.tuple] = struct{}{}
	}
	return true
}

func dialDatagrams(source, target netip.AddrPort) (int, error) {
	family := unix.AF_INET
	if source.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := transparent(fd, source); err != nil {
		unix.Close(fd)
		return -1, err
	}
	unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
	if source.Addr().Is6() {
		unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT)
	}
	if err := unix.Connect(fd, listen.Sockaddr(target)); err != nil {
		unix.Close(fd)
		return -1, err
	}
	// What came before it was connected may be from anybody.
	var scratch [1]byte
	for range maxFlows {
		if _, _, err := unix.Recvfrom(fd, scratch[:], unix.MSG_DONTWAIT); err != nil {
			break
		}
	}
	return fd, nil
}

// Ready takes the container's answers to the client. An ICMP error, such as that
// nobody listens there, is read and passed over.
func (f *flow) Ready(uint32) {
	b := f.port.share.loop.batch
	n, err := b.receive(f.fd)
	if err != nil {
		return
	}
	f.answered = true
	f.port.use(f)
	b.forward(f.port.socket.FD, 0, n, f.name, f.control)
}

// use moves a flow to the end of the list.
func (d *datagrams) use(f *flow) {
	if d.newest != f {
		d.unlink(f)
		d.append(f)
	}
	f.used = d.share.loop.Now()
}

func (d *datagrams) append(f *flow) {
	f.used = d.share.loop.Now()
	f.prev, f.next = d.newest, nil
	if d.newest != nil {
		d.newest.next = f
	} else {
		d.oldest = f
	}
	d.newest = f
}

func (d *datagrams) unlink(f *flow) {
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		d.oldest = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		d.newest = f.prev
	}
}

func (d *datagrams) forget(f *flow) {
	d.unlink(f)
	delete(d.flows, f.key)
	delete(d.share.tuples, f.tuple)
	d.share.loop.Drop(f.token)
	unix.Close(f.fd)
}

// expire forgets the flows that have been silent too long.
func (d *datagrams) expire(now time.Time) bool {
	for f := d.oldest; f != nil && now.Sub(f.used) > idleUnanswered; {
		next := f.next
		if !f.answered || now.Sub(f.used) > idleAnswered {
			d.forget(f)
		}
		f = next
	}
	d.ticking = len(d.flows) > 0
	return d.ticking
}

// end forgets all flows. The socket is its owner's to close.
func (d *datagrams) end() {
	d.share.loop.Remove(d.socket.FD, d.token)
	for d.oldest != nil {
		d.forget(d.oldest)
	}
}
