package scenario

import (
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
	"golang.org/x/sys/unix"
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
	kill(t, m.helper())
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
		kill(t, here.helper())
	}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if pid == 0 {
		t.Fatal("no helper runs")
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
