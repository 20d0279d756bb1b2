package scenario

import (
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
)

// Containers reach the world, and it sees the host's address; what is refused or
// unreachable is so for them as well.
func TestContainersReachTheWorld(t *testing.T) {
	worldServer(t, "192.0.2.1:7000")
	worldServer(t, "[2001:db8::1]:7000")
	m := newMachine(t)
	m.skiff("network", "create", "--ipv6", "six")
	m.run("box", []string{"--network", "bridge", "--network", "six"}, "serve")
	for _, c := range []struct{ network, addr, want string }{
		{"tcp", "192.0.2.1:7000", "192.0.2.1"},
		{"udp", "192.0.2.1:7000", "192.0.2.1"},
		{"tcp", "[2001:db8::1]:7000", "[2001:db8::10]"},
		{"udp", "[2001:db8::1]:7000", "[2001:db8::10]"},
	} {
		answer, err := m.inside("box", c.network, c.addr)
		if err != nil || !strings.HasPrefix(answer, c.want) || !strings.HasSuffix(answer, " hello") {
			t.Errorf("%s to %s: %q, %v", c.network, c.addr, answer, err)
		}
	}
	for addr, want := range map[string]string{
		"192.0.2.1:7999":     "connection refused",
		"[2001:db8::1]:7999": "connection refused",
		"192.0.2.77:7000":    "no route to host",
	} {
		if answer, err := m.inside("box", "tcp", addr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("tcp to %s: %q, %v; want %q", addr, answer, err, want)
		}
	}
	if answer, err := m.inside("box", "udp", "192.0.2.1:7999"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("udp to a closed port: %q, %v", answer, err)
	}
}

// Containers of one network find each other by name at once; those of another
// neither find nor reach them; an internal network has names and no world.
func TestNetworksArePartedAndNamed(t *testing.T) {
	worldServer(t, "192.0.2.2:7001")
	m := newMachine(t)
	for _, n := range []string{"one", "two"} {
		m.skiff("network", "create", n)
	}
	m.skiff("network", "create", "--internal", "inner")
	m.run("web", []string{"--network", "one", "--network-alias", "shop", "--network", "inner"}, "serve")
	m.run("box", []string{"--network", "one"}, "serve")
	m.run("far", []string{"--network", "two"}, "serve")
	m.run("deep", []string{"--network", "inner"}, "serve")
	for _, name := range []string{"web", "shop", "web.one"} {
		if answer, err := m.inside("box", "tcp", name+":80"); err != nil || !strings.HasSuffix(answer, " hello") {
			t.Errorf("box to %s: %q, %v", name, answer, err)
		}
	}
	if answer, err := m.inside("deep", "tcp", "web:80"); err != nil {
		t.Errorf("deep to web: %q, %v", answer, err)
	}
	if answer, err := m.inside("deep", "tcp", "192.0.2.2:7001"); err == nil {
		t.Errorf("deep reaches the world from an internal network: %q", answer)
	}
	if answer, err := m.inside("far", "resolve", "web"); err == nil {
		t.Errorf("far finds web, which is in another network: %q", answer)
	}
	address := m.skiff("inspect", "-f", "{{.NetworkSettings.Networks.one.IPAddress}}", "web")
	if answer, err := m.inside("far", "tcp", address+":80"); err == nil {
		t.Errorf("far reaches %s in another network: %q", address, answer)
	}
	m.skiff("network", "connect", "--alias", "store", "two", "web")
	if answer, err := m.inside("far", "tcp", "store:80"); err != nil {
		t.Errorf("far to store after connect: %q, %v", answer, err)
	}
	m.skiff("network", "disconnect", "two", "web")
	if answer, err := m.inside("far", "resolve", "store"); err == nil {
		t.Errorf("far finds store after disconnect: %q", answer)
	}
	m.skiff("stop", "-t", "0", "web")
	if answer, err := m.inside("box", "resolve", "web"); err == nil {
		t.Errorf("box finds web, which has stopped: %q", answer)
	}
}

// A published port is taken before the container starts, said so in words, and free
// as soon as the container has ended.
func TestPublishedPortsComeAndGo(t *testing.T) {
	m := newMachine(t)
	for range 5 {
		m.run("web", []string{"--rm", "-p", "8123:80"}, "serve")
		_, err := m.try(m.runArgs("box", []string{"--rm", "-p", "8123:80"}, "serve")...)
		if err == nil || !strings.Contains(err.Error(), "8123") || !strings.Contains(err.Error(), "web") {
			t.Fatalf("publishing a port twice: %v", err)
		}
		m.skiff("rm", "-f", "web")
	}
}

// The host's resolv.conf is the one of the moment.
func TestResolvConfIsReadWhenItChanges(t *testing.T) {
	dnsServer(t, "192.0.2.1", "192.0.2.101")
	dnsServer(t, "192.0.2.2", "192.0.2.102")
	m := newMachine(t)
	m.run("box", nil, "serve")
	for _, c := range []struct{ resolv, want string }{
		{"nameserver 192.0.2.1\n", "192.0.2.101"},
		{"nameserver 192.0.2.2\n", "192.0.2.102"},
		{"search example\nnameserver 192.0.2.1\n", "192.0.2.101"},
	} {
		if err := netlab.SetResolv(c.resolv); err != nil {
			t.Fatal(err)
		}
		m.eventually("resolving", func() error {
			answer, err := m.inside("box", "resolve", "name.example")
			if err == nil && answer != c.want {
				t.Fatalf("with %q the name is %q", c.resolv, answer)
			}
			return err
		})
	}
}
