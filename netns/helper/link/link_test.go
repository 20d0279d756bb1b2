package link

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
)

// Containers of a network talk, IPv4 and IPv6, and see their gateway; a helper's
// restart and repetition do not disturb an established connection.
func TestBridge(t *testing.T) {
	l := newLab(t)
	n := l.ensure(network("front", 20, nil))
	a, am := l.container("a", 2, n)
	b, bm := l.container("b", 3, n)
	var conns []net.Conn
	for _, addr := range []string{"10.20.0.3:7", "[fd00:20::3]:7"} {
		l.serve(b, addr)
		c, err := connectTo(a, addr)
		l.must(err)
		defer c.Close()
		l.must(echo(c, "before"))
		conns = append(conns, c)
	}
	for i := range 3 {
		if i == 1 {
			l.restart()
		}
		l.ensure(n)
		l.attach(a, am)
		l.attach(b, bm)
		for _, c := range conns {
			l.must(echo(c, fmt.Sprint("after ", i)))
		}
	}
}

// An endpoint's sysctls are set by the name of its interface, and no others are.
func TestEndpointSysctls(t *testing.T) {
	l := newLab(t)
	n := l.ensure(network("front", 20, nil))
	for options, want := range map[string]string{
		"net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.hop_limit=9": "",
		"net.ipv4.conf.IFNAME.none_such=1":                                     "there is no such sysctl",
		"net.ipv4.ip_forward=1":                                                "net.X.Y.IFNAME.Z=VALUE",
		"net.ipv4.conf.IFNAME/../all.log_martians=1":                           "net.X.Y.IFNAME.Z=VALUE",
		"net.ipv4.conf.IFNAME.log_martians=many":                               "invalid argument",
	} {
		c, e := netlab.Space(t), endpoint(n, options, 2, 0)
		e.Interface = "lan.7"
		e.Options = map[string]string{sysctlOption: options}
		err := l.links.Attach(c, memberOf(n, e))
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", options, err, want)
			}
			continue
		}
		l.must(err)
		for file, value := range map[string]string{"ipv4/conf/lan.7/log_martians": "1\n", "ipv6/conf/lan.7/hop_limit": "9\n"} {
			l.must(c.Do(func() error {
				got, err := os.ReadFile("/proc/sys/net/" + file)
				if string(got) != value {
					t.Errorf("%s is %q, want %q", file, got, value)
				}
				return err
			}))
		}
	}
}

// Without an IPv6 address there is no IPv6 on an interface; with one it is usable at once.
func TestIPv6(t *testing.T) {
	l := newLab(t)
	n := l.ensure(network("front", 20, nil))
	for with, file := range map[bool]string{true: "0\n", false: "1\n"} {
		c, e := netlab.Space(t), endpoint(n, fmt.Sprint(with), 2, 0)
		if !with {
			e.IPv6, e.Gateway6 = netip.Prefix{}, netip.Addr{}
		}
		l.must(l.links.Attach(c, memberOf(n, e)))
		l.must(c.Do(func() error {
			got, err := os.ReadFile("/proc/sys/net/ipv6/conf/eth0/disable_ipv6")
			if string(got) != file {
				t.Errorf("with an address %v: disable_ipv6 is %q, want %q", with, got, file)
			}
			return err
		}))
	}
}
