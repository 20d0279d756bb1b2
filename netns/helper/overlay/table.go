package overlay

import (
	"net"
	"net/netip"
	"slices"
)

// Local is N's address on the device, from which its vxlan devices send.
var Local = netip.AddrFrom4([4]byte{169, 254, 2, 1})

// maxPeers is how many addresses for peers there are beside it.
const maxPeers = 253

// table says which datagram goes where. It does not change; another one takes its place.
type table struct {
	inside  map[netip.Addr]netip.Addr // a peer's real address → that in N
	peers   map[netip.Addr]netip.Addr // the other way round
	members map[tunnel]map[netip.Addr]bool
	sockets map[uint16]*net.UDPConn
}

// tunnel is what a datagram says of its network.
type tunnel struct {
	port uint16
	vni  uint32
}

// newTable gives each peer an address in N, the same as before where it had one.
func newTable(joined map[string]*membership, before *table) *table {
	t := &table{inside: map[netip.Addr]netip.Addr{}, peers: map[netip.Addr]netip.Addr{}, members: map[tunnel]map[netip.Addr]bool{}}
	var fresh []netip.Addr
	for _, m := range joined {
		of := map[netip.Addr]bool{}
		t.members[tunnel{m.port, m.vni}] = of
		for _, peer := range m.peers {
			of[peer] = true
			if before != nil && before.inside[peer].IsValid() {
				t.inside[peer] = before.inside[peer]
				t.peers[before.inside[peer]] = peer
			} else {
				fresh = append(fresh, peer)
			}
		}
	}
	slices.SortFunc(fresh, netip.Addr.Compare)
	next := Local
	for _, peer := range slices.Compact(fresh) {
		for next = next.Next(); t.peers[next].IsValid(); next = next.Next() {
		}
		t.inside[peer], t.peers[next] = next, peer
	}
	return t
}

// outside is where a datagram of N's goes; invalid: nowhere.
func (t *table) outside(d datagram) netip.AddrPort {
	vni, ok := vniOf(d.payload)
	peer := t.peers[d.to]
	if !ok || !t.members[tunnel{d.port, vni}][peer] || t.sockets[d.port] == nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(peer, d.port)
}

// from is the address in N of a datagram's sender, if it is a peer of that network; else invalid.
func (t *table) from(peer netip.Addr, port uint16, payload []byte) netip.Addr {
	vni, ok := vniOf(payload)
	if !ok || !t.members[tunnel{port, vni}][peer.WithZone("")] {
		return netip.Addr{}
	}
	return t.inside[peer.WithZone("")]
}
