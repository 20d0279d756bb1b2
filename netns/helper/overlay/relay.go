// Package overlay carries the frames of overlay networks between hosts. In N a vxlan
// device, a port of the network's bridge, does the work; its datagrams have no way to
// the host's cards, so a TUN device in N and sockets on the host carry them across:
//
//	container ─ bridge ─ vxlan ─ TUN "skiffx0" ─ relay ─ host's UDP socket ─▶ peer
//
// In N a peer has an address of this relay's making, whatever its real one is, of
// IPv4 or IPv6: no route of N covers a real one. Other hosts may as well run another
// VXLAN (RFC 7348) than skiff's.
package overlay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Config is what the relay works with.
type Config struct {
	N *space.Space
	// Listen makes the host's socket for datagrams to a port; nil: one of the calling
	// thread's network namespace.
	Listen func(port uint16) (*net.UDPConn, error)
}

// Relay carries the datagrams. Its methods may be called by several goroutines.
type Relay struct {
	config Config
	tun    *os.File
	routes atomic.Pointer[table]

	mu      sync.Mutex
	joined  map[string]*membership // by network's id
	sockets map[uint16]*socket
	wait    sync.WaitGroup
}

// membership is a network that is being carried.
type membership struct {
	port  uint16
	vni   uint32
	peers []netip.Addr
}

// socket is the host's for one port, which networks share.
type socket struct {
	conn *net.UDPConn
	port uint16
}

// Start makes the device in N. It and its routes end with the process.
func Start(c Config) (*Relay, error) {
	if c.Listen == nil {
		c.Listen = listen
	}
	r := &Relay{config: c, joined: map[string]*membership{}, sockets: map[uint16]*socket{}}
	r.routes.Store(newTable(nil, nil))
	err := c.N.Do(func() (err error) {
		r.tun, err = openTUN()
		return err
	})
	if err != nil {
		return nil, err
	}
	r.wait.Go(r.outward)
	return r, nil
}

// Close ends the relay.
func (r *Relay) Close() {
	r.tun.Close()
	r.mu.Lock()
	for _, s := range r.sockets {
		s.conn.Close()
	}
	r.mu.Unlock()
	r.wait.Wait()
}

// Join begins to carry a network, by its options "peers", "vni" and "port", and
// returns the addresses that its peers have in N. Joining twice is no error.
func (r *Relay) Join(n *store.Network) ([]netip.Addr, error) {
	m, err := parse(n)
	if err != nil {
		return nil, fmt.Errorf("carrying network %q: %w", n.Name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, other := range r.joined {
		if id != n.ID && other.port == m.port && other.vni == m.vni {
			return nil, fmt.Errorf("carrying network %q: another one has VNI %d on port %d", n.Name, m.vni, m.port)
		}
	}
	before := r.joined[n.ID]
	r.joined[n.ID] = m
	err = r.settle()
	if err != nil {
		if before == nil {
			delete(r.joined, n.ID)
		} else {
			r.joined[n.ID] = before
		}
		r.settle()
		return nil, fmt.Errorf("carrying network %q: %w", n.Name, err)
	}
	t := r.routes.Load()
	var inside []netip.Addr
	for _, peer := range m.peers {
		inside = append(inside, t.inside[peer])
	}
	return inside, nil
}

// Leave ends the carrying of a network.
func (r *Relay) Leave(n *store.Network) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.joined, n.ID)
	r.settle()
}

// settle makes the sockets and routes what the joined networks need.
func (r *Relay) settle() error {
	needed := map[uint16]bool{}
	for _, m := range r.joined {
		needed[m.port] = true
	}
	for port := range needed {
		if r.sockets[port] != nil {
			continue
		}
		conn, err := r.config.Listen(port)
		if err != nil {
			return explain(port, err)
		}
		s := &socket{conn, port}
		r.sockets[port] = s
		r.wait.Go(func() { r.inward(s) })
	}
	t := newTable(r.joined, r.routes.Load())
	if len(t.inside) > maxPeers {
		return fmt.Errorf("%d hosts are too many: there may be %d", len(t.inside), maxPeers)
	}
	for port, s := range r.sockets {
		if !needed[port] {
			s.conn.Close()
			delete(r.sockets, port)
		}
	}
	t.sockets = map[uint16]*net.UDPConn{}
	for port, s := range r.sockets {
		t.sockets[port] = s.conn
	}
	r.routes.Store(t)
	return nil
}

// listen makes a socket for both families, whose datagrams may be fragmented on the way.
func listen(port uint16) (*net.UDPConn, error) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: int(port)})
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
			unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT)
		})
	}
	return conn, nil
}

func explain(port uint16, err error) error {
	if errors.Is(err, unix.EADDRINUSE) {
		return &userns.HostError{
			What: fmt.Sprintf("UDP port %d of this host, by which the other hosts are reached, is in use", port),
			Hint: "make the network with another -o port=NUMBER, the same on all hosts", Err: err,
		}
	}
	return fmt.Errorf("listening on UDP port %d: %w", port, err)
}

// parse reads the options that make a network an overlay.
func parse(n *store.Network) (*membership, error) {
	m := &membership{port: 4789, vni: 4096}
	if text := n.Options["port"]; text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return nil, fmt.Errorf("%q is no port", text)
		}
		m.port = uint16(port)
	}
	if text := n.Options["vni"]; text != "" {
		vni, err := strconv.ParseUint(text, 10, 24)
		if err != nil {
			return nil, fmt.Errorf("%q is no VNI", text)
		}
		m.vni = uint32(vni)
	}
	for text := range strings.SplitSeq(n.Options["peers"], ",") {
		peer, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("%q is no address of a host", text)
		}
		m.peers = append(m.peers, peer.Unmap())
	}
	return m, nil
}

// VNI and port by which a network's vxlan device is made.
func Tunnel(n *store.Network) (vni uint32, port uint16, err error) {
	m, err := parse(n)
	if err != nil {
		return 0, 0, err
	}
	return m.vni, m.port, nil
}

// outward carries what N's vxlan devices send.
func (r *Relay) outward() {
	buf := make([]byte, maxPacket)
	for {
		n, err := r.tun.Read(buf)
		if err != nil {
			return
		}
		d, err := parseDatagram(buf[:n])
		if err != nil {
			continue
		}
		t := r.routes.Load()
		if to := t.outside(d); to.IsValid() {
			// A host that is away is not our concern: frames get lost.
			t.sockets[d.port].WriteToUDPAddrPort(d.payload, to)
		}
	}
}

// inward carries what peers send, of their own networks and no others.
func (r *Relay) inward(s *socket) {
	buf := make([]byte, maxPacket)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf[headers:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n > maxPacket-headers-1 {
			continue // such as an ICMP error
		}
		payload := buf[headers : headers+n]
		source := r.routes.Load().from(from.Addr().Unmap(), s.port, payload)
		if !source.IsValid() {
			continue
		}
		wrap(buf[:headers+n], source, s.port)
		r.tun.Write(buf[:headers+n])
	}
}

// vniOf reads a VXLAN header (RFC 7348, section 5): one flag, which says that there is a VNI.
func vniOf(payload []byte) (uint32, bool) {
	if len(payload) < 8 || payload[0]&0x08 == 0 {
		return 0, false
	}
	return binary.BigEndian.Uint32(payload[4:]) >> 8, true
}
