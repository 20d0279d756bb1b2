package scenario

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var (
	rounds = flag.Int("rounds", 200, "rounds of TestChaos")
	seed   = flag.Uint64("seed", 0, "seed of TestChaos; 0: another one each time")
)

// chaos is a machine on which things go wrong at random.
type chaos struct {
	*machine
	random   *rand.Rand
	running  map[string]bool // the containers that stay, by name
	networks map[string]map[string]bool
	did      []string
}

const stayers = 6

func stayer(i int) string { return fmt.Sprintf("c%d", i) }

// 200 rounds in which the helper and shims are killed, containers are started and
// stopped 32 at a time, networks connected and disconnected, the host's default
// route and resolv.conf changed. What runs afterwards reaches the world, is named
// and answers; of the rest nothing is left.
func TestChaos(t *testing.T) {
	worldServer(t, "192.0.2.1:7003")
	dnsServer(t, "192.0.2.1", "192.0.2.1")
	dnsServer(t, "192.0.2.2", "192.0.2.1")
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	c := &chaos{machine: newMachine(t), random: rand.New(rand.NewPCG(*seed, 0)), running: map[string]bool{}, networks: map[string]map[string]bool{}}
	if err := netlab.SetResolv("nameserver 192.0.2.1\n"); err != nil {
		t.Fatal(err)
	}
	before := listening(t)
	for _, n := range []string{"one", "two"} {
		c.skiff("network", "create", n)
	}
	for i := range stayers {
		c.run(stayer(i), []string{"--network", "one", "-p", fmt.Sprintf("%d:80", 8200+i)}, "serve")
		c.running[stayer(i)], c.networks[stayer(i)] = true, map[string]bool{"one": true}
	}
	defer func() {
		if t.Failed() {
			t.Logf("seed %d, the last rounds: %s", *seed, strings.Join(c.did[max(0, len(c.did)-20):], "; "))
		}
	}()
	for round := range *rounds {
		c.round(round)
		if round%20 == 19 {
			c.verify()
		}
		if t.Failed() {
			return
		}
	}
	c.verify()
	c.skiff("network", "check")
	for name := range c.running {
		c.skiff("rm", "-f", name)
	}
	c.eventually("letting go of all ports", func() error {
		if now := listening(t); !slices.Equal(now, before) {
			return fmt.Errorf("listening sockets were %v and are %v", before, now)
		}
		return nil
	})
}

// round does one thing.
func (c *chaos) round(n int) {
	name := stayer(c.random.IntN(stayers))
	switch c.random.IntN(8) {
	case 0:
		c.note("kill the helper")
		if pid := c.helper(); pid != 0 {
			unix.Kill(pid, unix.SIGKILL)
		}
	case 1:
		c.note("kill the shim of " + name)
		if pid := c.shim(name); pid != 0 {
			unix.Kill(pid, unix.SIGKILL)
		}
		c.eventually("noticing that the shim died", func() error {
			if state := c.skiff("inspect", "-f", "{{.State.Status}}", name); state == "running" {
				return fmt.Errorf("%s runs", name)
			}
			return nil
		})
		c.skiff("start", name)
	case 2:
		many := 8
		if n%50 == 0 {
			many = 32
		}
		c.note(fmt.Sprintf("start and stop %d", many))
		c.crowd(many)
	case 3:
		if c.networks[name]["two"] {
			c.note("disconnect " + name)
			c.skiff("network", "disconnect", "two", name)
		} else {
			c.note("connect " + name)
			c.skiff("network", "connect", "two", name)
		}
		c.networks[name]["two"] = !c.networks[name]["two"]
	case 4:
		c.note("change the default route")
		c.route()
	case 5:
		c.note("change resolv.conf")
		if err := netlab.SetResolv(fmt.Sprintf("nameserver 192.0.2.%d\n", 1+c.random.IntN(2))); err != nil {
			c.Error(err)
		}
	case 6:
		c.note("restart " + name)
		c.skiff("restart", "-t", "0", name)
	case 7:
		c.note("stop and start " + name + ", the helper killed meanwhile")
		c.skiff("stop", "-t", "0", name)
		if pid := c.helper(); pid != 0 {
			unix.Kill(pid, unix.SIGKILL)
		}
		c.skiff("start", name)
	}
}

func (c *chaos) note(what string) { c.did = append(c.did, what) }

// shim is the process id of a container's shim.
func (c *chaos) shim(name string) int {
	id := c.skiff("inspect", "-f", "{{.Id}}", name)
	for _, p := range c.processes() {
		if strings.HasPrefix(p.command, "skiff-shim ") && strings.Contains(p.command, id) {
			return p.pid
		}
	}
	return 0
}

// crowd starts many containers at once and takes them away at once.
func (c *chaos) crowd(many int) {
	names := make([]string, many)
	var all sync.WaitGroup
	for i := range many {
		names[i] = fmt.Sprintf("crowd%d", i)
		all.Go(func() {
			if out, err := c.try(c.runArgs(names[i], []string{"--rm", "--network", "one"}, "serve")...); err != nil {
				c.Errorf("starting %s: %v%s", names[i], err, out)
			}
		})
	}
	all.Wait()
	for i := range many {
		all.Go(func() {
			if out, err := c.try("rm", "-f", names[i]); err != nil {
				c.Errorf("removing %s: %v%s", names[i], err, out)
			}
		})
	}
	all.Wait()
}

// route changes the host's default route to another of the world's addresses, with
// none at all in between.
func (c *chaos) route() {
	link, err := netlink.LinkByName("out0")
	if err != nil {
		c.Fatal(err)
	}
	routes, err := netlink.RouteList(link, netlink.FAMILY_V4)
	if err != nil {
		c.Fatal(err)
	}
	for _, r := range routes {
		if r.Gw != nil {
			netlink.RouteDel(&r)
		}
	}
	gateway := netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + c.random.IntN(2))})
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.IP(gateway.AsSlice())}); err != nil {
		c.Fatal(err)
	}
}

// verify checks that all is well, given the time that a new helper needs.
func (c *chaos) verify() {
	c.Helper()
	for i := range stayers {
		name := stayer(i)
		c.eventually(name+" reaching the world by name", func() error {
			_, err := c.inside(name, "tcp", "world.example:7003")
			return err
		})
		c.eventually(name+" being reached from the world", func() error {
			_, err := fromWorld("tcp", "192.0.2.2", fmt.Sprintf("192.0.2.10:%d", 8200+i))
			return err
		})
		for j := range stayers {
			other := stayer(j)
			if i == j || c.networks[name]["two"] != c.networks[other]["two"] {
				continue
			}
			c.eventually(name+" reaching "+other, func() error {
				_, err := c.inside(name, "tcp", other+":80")
				return err
			})
		}
	}
}

// listening are the ports of this namespace on which somebody listens.
func listening(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, err := os.ReadFile("/proc/thread-self/net/" + table)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) > 3 && (fields[3] == "0A" || strings.HasPrefix(table, "udp") && fields[3] == "07") {
				all = append(all, table+" "+fields[1])
			}
		}
	}
	slices.Sort(all)
	return all
}
