package udp

import (
	"bytes"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/internal/outlab"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/netns/helper/tun"
)

// waited makes datagrams of a container as the device hands them out together. A
// negative size is of one that says it is shorter than its packet.
func waited(t *testing.T, to netip.AddrPort, sizes []int) []tun.Packet {
	t.Helper()
	var all []tun.Packet
	for i, size := range sizes {
		says := size
		if size < 0 {
			size = -size
			says = size - 1
		}
		ip := tun.IP{Src: outlab.Container4, Dst: to.Addr(), Proto: unix.IPPROTO_UDP}
		if to.Addr().Is6() {
			ip.Src = outlab.Container6
		}
		b := appendHeader(ip.Append(nil, headerLen+size), 1000, to.Port(), headerLen+says, 0)
		p, err := tun.Parse(append(b, bytes.Repeat([]byte{byte(i)}, size)...))
		if err != nil {
			t.Fatal(err)
		}
		p.Offload.NeedsChecksum = true // so it may be wrong
		all = append(all, p)
	}
	return all
}

// What has waited together arrives as it was sent, whether the way takes bundles or
// not, and whatever a container has tried.
func TestTogether(t *testing.T) {
	_, p := start(t, 65520)
	many := make([]int, 40)
	for i := range many {
		many[i] = 1200
	}
	for _, one := range []struct {
		name  string
		where *space.Space
		addr  string
		sizes []int
	}{
		{"IPv4", nil, "192.0.2.10:0", many},
		{"IPv6", nil, "[2001:db8::10]:0", many},
		{"the last is short", netlab.World(), "192.0.2.1:0", []int{1400, 1400, 1400, 1}},
		{"too big for the way, which fragments", netlab.World(), "192.0.2.1:0", []int{3000, 3000, 2000}},
		{"one is shorter than its packet", nil, "192.0.2.10:0", []int{500, -500, 500}},
		{"one is empty", nil, "192.0.2.10:0", []int{500, 0}},
		{"lengths that the device does not put together", nil, "192.0.2.10:0", []int{500, 400, 500, 600}},
	} {
		t.Run(one.name, func(t *testing.T) {
			server := outlab.Packets(t, one.where, one.addr)
			to := netip.MustParseAddrPort(server.LocalAddr().String())
			for range 2 { // the second time it is known what the way takes
				p.HandleAll(waited(t, to, one.sizes))
				buf := make([]byte, 65536)
				for i, size := range one.sizes {
					if size < 0 {
						size = -size - 1
					}
					n, _, err := server.ReadFrom(buf)
					if err != nil || n != size || len(bytes.Trim(buf[:n], string([]byte{byte(i)}))) != 0 {
						t.Fatalf("datagram %d of %d octets: %d octets, %v", i, size, n, err)
					}
				}
			}
		})
	}
	if p.Flows() != 2 { // one a family
		t.Errorf("%d flows", p.Flows())
	}
}

// A destination where nobody listens is told to the container, and does not keep what
// is for others.
func TestTogetherRefused(t *testing.T) {
	_, p := start(t, 65520)
	server := outlab.Packets(t, nil, "192.0.2.10:0")
	nobody := outlab.Packets(t, nil, "192.0.2.11:0")
	closed := netip.MustParseAddrPort(nobody.LocalAddr().String())
	nobody.Close()
	for range 5 {
		p.HandleAll(waited(t, closed, []int{100, 100, 100}))
		p.HandleAll(waited(t, netip.MustParseAddrPort(server.LocalAddr().String()), []int{200, 200}))
		for range 2 {
			if n, _, err := server.ReadFrom(make([]byte, 1000)); n != 200 || err != nil {
				t.Fatalf("%d octets: %v", n, err)
			}
		}
	}
}
