package link

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/netns/helper/firewall"
	"github.com/skiff-containers/skiff/store"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func (l *lab) ensureMacvlan(n, parent *store.Network) {
	l.t.Helper()
	bridge, err := l.links.EnsureMacvlan(n, parent)
	l.must(err)
	var gateways []netip.Addr
	for _, s := range append(parent.Subnets[:2:2], n.Subnets...) {
		gateways = append(gateways, s.Gateway)
	}
	l.must(l.fire.Network(firewall.Network{Bridge: bridge, Gateways: gateways}))
}

// Members of a macvlan network are on the wire of its parent: they talk to each other,
// to the gateway and to the parent's members, under the same check of their sources.
func TestMacvlan(t *testing.T) {
	l := newLab(t)
	parent, lan := l.ensure(network("parent", 20, map[string]string{"mtu": "9000"})), network("lan", 21, nil)
	lan.Driver = "macvlan"
	l.ensureMacvlan(lan, parent)
	p, _ := l.container("p", 2, parent)
	a, am := l.container("a", 3, lan)
	b, bm := l.container("b", 4, lan)
	for _, addr := range []string{"10.21.0.1:53", "[fd00:21::1]:53"} {
		l.serve(l.n, addr)
		l.must(l.talk(a, addr))
	}
	for _, addr := range []string{"10.21.0.4:7", "[fd00:21::4]:7"} {
		l.serve(b, addr)
		l.must(l.talk(a, addr))
		l.must(l.talk(p, addr))
	}
	l.must(a.Do(func() error {
		eth0, err := netlink.LinkByName("eth0")
		if err == nil && (eth0.Type() != "macvlan" || eth0.Attrs().MTU != 9000) {
			t.Errorf("eth0 is a %s with MTU %d, want a macvlan with its parent's 9000", eth0.Type(), eth0.Attrs().MTU)
		}
		return err
	}))

	kept, err := connectTo(a, "10.21.0.4:7")
	l.must(err)
	defer kept.Close()
	l.restart()
	l.ensure(parent)
	l.ensureMacvlan(lan, parent)
	l.attach(a, am)
	l.attach(b, bm)
	l.must(echo(kept, "still there"))

	sender, receiver := l.packets(a), l.packets(b)
	frame := unhex(t, "ffffffffffff 02420a150003 0800 4500 001c 0000 0000 40 11 0000 0a150004 ffffffff 0001 0002 0008 0000")
	mark := unhex(t, "ffffffffffff 02420a150003 0800 4500 001c 0000 0000 40 11 0000 0a150003 ffffffff 0001 0002 0008 0000")
	binary.BigEndian.PutUint16(mark[18:], 0x1234)
	l.must(unix.Send(sender, frame, 0))
	l.must(unix.Send(sender, mark, 0))
	if l.sees(receiver, frame, mark) {
		t.Error("a member sends as another")
	}

	for _, m := range []*store.Endpoint{&am.Attachment.Endpoints[0], &bm.Attachment.Endpoints[0]} {
		l.must(l.links.Detach(m))
	}
	l.must(l.links.Forget(lan))
	names, err := l.links.Interfaces()
	l.must(err)
	if len(names) != 3 { // the TUN, the parent's bridge, p's port
		t.Errorf("left over: %v", names)
	}
	if _, err := connectWithin(p, "10.21.0.1:53", 300*time.Millisecond); err == nil {
		t.Error("the gateway's address is still there")
	}
}

// A macvlan network without its parent is an error.
func TestMacvlanNeedsParent(t *testing.T) {
	l := newLab(t)
	if _, err := l.links.EnsureMacvlan(network("lan", 21, nil), network("parent", 20, nil)); err == nil || errors.Is(err, unix.ENODEV) {
		t.Errorf("got %v, want an error that names the parent", err)
	}
}
