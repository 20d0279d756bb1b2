package firewall

import (
	"net"
	"net/netip"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
)

// A second Setup leaves what was let in, and knows of it.
func TestSetupTwice(t *testing.T) {
	n := netlab.Space(t)
	setup := func(port uint16) *Firewall {
		t.Helper()
		f, err := Setup(n, Config{TUN: "skiff0", TProxyPort: port})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(f.Close)
		if f.Weak() != nil || f.Opaque() != nil {
			t.Fatalf("weak: %v, opaque: %v", f.Weak(), f.Opaque())
		}
		return f
	}
	first := setup(7777)
	mac, _ := net.ParseMAC("02:42:0a:5a:00:02")
	addresses := []netip.Addr{netip.MustParseAddr("10.90.0.2"), netip.MustParseAddr("fd00::2")}
	for range 2 {
		if err := first.Admit("port", Source{mac, addresses}); err != nil {
			t.Fatal(err)
		}
		if err := first.Network(Network{Bridge: "bridge", Gateways: addresses, Open: true}); err != nil {
			t.Fatal(err)
		}
	}
	second := setup(8888)
	if got, want := len(second.elements["port"]), 3; got != want {
		t.Errorf("%d elements for the port, want %d", got, want)
	}
	if got, want := len(second.elements["bridge"]), 6; got != want {
		t.Errorf("%d elements for the bridge, want %d", got, want)
	}
	if err := second.Sweep(func(name string) bool { return name == "bridge" }); err != nil {
		t.Fatal(err)
	}
	third := setup(0)
	if got := third.Interfaces(); len(got) != 1 || got[0] != "bridge" {
		t.Errorf("interfaces %v, want bridge alone", got)
	}
	if err := third.Forget("bridge"); err != nil {
		t.Fatal(err)
	}
}
