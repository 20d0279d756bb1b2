package scenario

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
)

// Containers of a macvlan network have names and the world, and reach those of the
// network that theirs lies on, through the helper's death as well.
func TestMacvlanOnANetwork(t *testing.T) {
	worldServer(t, "192.0.2.1:7010")
	m := newMachine(t)
	m.skiff("network", "create", "wire")
	m.skiff("network", "create", "-d", "macvlan", "-o", "parent=wire", "lan")
	m.run("web", []string{"--network", "lan"}, "serve")
	m.run("box", []string{"--network", "lan"}, "serve")
	m.run("old", []string{"--network", "wire"}, "serve")
	address := m.skiff("inspect", "-f", "{{.NetworkSettings.Networks.lan.IPAddress}}", "web")
	check := func() {
		t.Helper()
		for _, c := range [][2]string{{"box", "web:80"}, {"box", "192.0.2.1:7010"}, {"old", address + ":80"}} {
			m.eventually(c[0]+" to "+c[1], func() error {
				_, err := m.inside(c[0], "tcp", c[1])
				return err
			})
		}
	}
	check()
	m.killHelper()
	check()
	if _, err := m.try("network", "rm", "wire"); err == nil {
		t.Error("a network is removed that another lies on")
	}
	m.skiff("rm", "-f", "web", "box", "old")
	m.skiff("network", "rm", "lan")
	m.skiff("network", "rm", "wire")
}

// Two hosts join their containers by an overlay network.
func TestOverlayOfTwoHosts(t *testing.T) {
	here, there := newMachine(t), newMachine(t)
	away := func(args ...string) (out string) {
		t.Helper()
		if err := netlab.World().Do(func() (err error) {
			out, err = there.try(args...)
			return err
		}); err != nil {
			t.Fatalf("skiff %s: %v\n%s", strings.Join(args, " "), err, there.helperLog())
		}
		return out
	}
	const subnet = "10.44.0.0/16"
	here.skiff("network", "create", "-d", "overlay", "--subnet", subnet, "--gateway", "10.44.1.1", "--ip-range", "10.44.1.0/24", "-o", "peers=192.0.2.1", "wide")
	away("network", "create", "-d", "overlay", "--subnet", subnet, "--gateway", "10.44.2.1", "--ip-range", "10.44.2.0/24", "-o", "peers=192.0.2.10", "wide")
	away(there.runArgs("far", []string{"--network", "wide"}, "serve")...)
	here.run("near", []string{"--network", "wide"}, "serve")
	address := away("inspect", "-f", "{{.NetworkSettings.Networks.wide.IPAddress}}", "far")
	for range 2 {
		here.eventually("near to far", func() error {
			_, err := here.inside("near", "tcp", address+":80")
			return err
		})
		here.killHelper()
	}
}

// Other programs connect containers, where they are installed, under the same command
// line: names, the world, published ports, and again after the helper's death.
func TestOtherPrograms(t *testing.T) {
	dnsServer(t, "192.0.2.1", "192.0.2.1")
	worldServer(t, "192.0.2.1:7020")
	if err := netlab.SetResolv("nameserver 192.0.2.1\n"); err != nil {
		t.Fatal(err)
	}
	listening := map[string]string{"pasta": "0.0.0.0:8124\n[::]:8124", "slirp4netns": "0.0.0.0:8124"}
	for kind, wrong := range map[string]string{"pasta": "--no-such-option", "slirp4netns": "no-such-option=1"} {
		t.Run(kind, func(t *testing.T) {
			if _, err := exec.LookPath(kind); err != nil {
				t.Fatal(err)
			}
			m := newMachine(t)
			m.run("web", []string{"--network", kind, "-p", "8124:80"}, "serve")
			for range 2 {
				m.eventually("web to the world by its name", func() error {
					_, err := m.inside("web", "tcp", "world.example:7020")
					return err
				})
				m.eventually("the world to web", func() error {
					_, err := fromWorld("tcp", "192.0.2.1", "192.0.2.10:8124")
					return err
				})
				if port := m.skiff("port", "web", "80/tcp"); port != listening[kind] {
					t.Errorf("port says %q", port)
				}
				m.killHelper()
			}
			if out, err := m.try("run", "--rm", "--network", kind+":"+wrong, imageRef, "true"); err == nil || !strings.Contains(err.Error(), "no-such-option") {
				t.Errorf("a wrong option: %q, %v", out, err)
			}
			m.skiff("rm", "-f", "web")
			if _, err := fromWorld("tcp", "192.0.2.1", "192.0.2.10:8124"); err == nil {
				t.Error("the port is still open")
			}
		})
	}
}
