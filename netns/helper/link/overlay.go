package link

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/skiff-containers/skiff/store"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Tunnel is what an overlay network's vxlan device is made with (package overlay).
type Tunnel struct {
	VNI   uint32
	Port  uint16
	Local netip.Addr   // of N, IPv4
	Peers []netip.Addr // as seen from N, IPv4
}

// Uplink is the name of an overlay network's vxlan device, a port of its bridge, by
// which the frames of other hosts' containers come.
func Uplink(n *store.Network) string { return name(prefixVxlan, n.ID) }

// EnsureTunnel joins the network's bridge, which [Links.EnsureNetwork] has made, to
// the other hosts. A device of an earlier helper's is replaced, as the peers may have
// got other addresses: what it has learnt, it learns again.
func (l *Links) EnsureTunnel(n *store.Network, t Tunnel) error {
	what := fmt.Sprintf("making network %q", n.Name)
	l.mu.Lock()
	defer l.mu.Unlock()
	bridge := l.wires[n.ID]
	if bridge == 0 {
		return fmt.Errorf("%s: it has no bridge yet", what)
	}
	if l.tunnels[n.ID] {
		return nil
	}
	kind := linkInfo("vxlan", func(data *nl.RtAttr) {
		data.AddRtAttr(nl.IFLA_VXLAN_ID, nl.Uint32Attr(t.VNI))
		data.AddRtAttr(nl.IFLA_VXLAN_LOCAL, t.Local.AsSlice())
		data.AddRtAttr(nl.IFLA_VXLAN_PORT, binary.BigEndian.AppendUint16(nil, t.Port))
		data.AddRtAttr(nl.IFLA_VXLAN_LEARNING, nl.Uint8Attr(1))
	})
	var reply []byte
	err := l.conn.do(deleteLink(Uplink(n)),
		onLink(unix.RTM_NEWLINK, create, unix.IFF_UP, unix.IFF_UP, what, ifname(Uplink(n)), number(unix.IFLA_MTU, MTU(n)), number(unix.IFLA_MASTER, bridge), kind),
		getLink(Uplink(n), &reply))
	if err != nil {
		return err
	}
	i, err := index(reply)
	if err != nil {
		return err
	}
	var requests []*request
	for _, peer := range t.Peers {
		requests = append(requests, flood(i, peer, what))
	}
	if err := l.conn.do(requests...); err != nil {
		return err
	}
	l.tunnels[n.ID] = true
	return nil
}

// flood has a vxlan device send to a peer what is for all or for nobody known.
func flood(index int, peer netip.Addr, what string) *request {
	m := &ndmsg{family: unix.AF_BRIDGE, index: uint32(index), state: unix.NUD_NOARP | unix.NUD_PERMANENT, flags: unix.NTF_SELF}
	return &request{
		kind: unix.RTM_NEWNEIGH, flags: unix.NLM_F_CREATE | unix.NLM_F_APPEND, what: what,
		parts: []nl.NetlinkRequestData{m, nl.NewRtAttr(unix.NDA_LLADDR, make(net.HardwareAddr, 6)), nl.NewRtAttr(unix.NDA_DST, peer.AsSlice())},
	}
}

// ndmsg is struct ndmsg of rtnetlink(7).
type ndmsg struct {
	family uint8
	index  uint32
	state  uint16
	flags  uint8
}

func (m *ndmsg) Len() int { return 12 }

func (m *ndmsg) Serialize() []byte {
	b := make([]byte, m.Len())
	b[0], b[10] = m.family, m.flags
	binary.NativeEndian.PutUint32(b[4:], m.index)
	binary.NativeEndian.PutUint16(b[8:], m.state)
	return b
}

// overlayMTU leaves room for the headers around a frame on a card of 1500: Ethernet's
// 14 and VXLAN's 8, UDP's 8, and IP's 20 or 40.
func overlayMTU(n *store.Network) int {
	if strings.Contains(n.Options["peers"], ":") {
		return 1430
	}
	return 1450
}
