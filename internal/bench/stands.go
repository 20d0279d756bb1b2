package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/skiff-containers/skiff/netns/client"
	"github.com/skiff-containers/skiff/netns/helper/member"
)

// ground is what all stands share.
type ground struct {
	base  string
	image string // of busybox, in the registry
	load  string // netload/netload, built
	skiff string // the program
	port  int    // of the server on the host
	own   string // the host's own address
}

// builder makes a contender's stand with an MTU, 0 for its default; nil where it has
// no such thing as another MTU.
type builder struct {
	name    string
	program string // that must be there; "" for none
	build   func(g *ground, s *stand, mtu int) error
	noMTU   bool
}

// builders are the contenders, the two limits last. All but the limits run containers,
// or a namespace alone where that is what the tool makes.
var builders = []builder{
	{name: "skiff", build: (*ground).skiffKernel},
	{name: "skiff netstack", build: (*ground).skiffNetstack},
	{name: "slirp4netns", program: "podman", build: (*ground).podmanSlirp},
	{name: "podman bridge", program: "podman", build: (*ground).podmanBridge},
	{name: "pasta", program: "pasta", build: (*ground).pasta},
	{name: "rootlesskit", program: "rootlesskit", build: (*ground).rootlesskit},
	{name: "veth", build: (*ground).veth},
	{name: "loopback", build: (*ground).loopback, noMTU: true},
}

// build makes one stand; what it has begun is in it also after an error.
func (g *ground) build(b builder, mtu int) (s *stand, err error) {
	s = &stand{name: b.name}
	if b.program != "" {
		if _, err := exec.LookPath(b.program); err != nil {
			return s, err
		}
	}
	if s.began, err = sinceBoot(); err != nil {
		return s, err
	}
	s.began -= tick // it is rounded
	if err := b.build(g, s, mtu); err != nil {
		return s, err
	}
	s.ready, err = sinceBoot()
	return s, err
}

func (g *ground) skiffKernel(s *stand, mtu int) error   { return g.skiffStand(s, "", mtu) }
func (g *ground) skiffNetstack(s *stand, mtu int) error { return g.skiffStand(s, "netstack", mtu) }

// skiffStand has two containers on the default network, or on one with another MTU.
func (g *ground) skiffStand(s *stand, path string, mtu int) error {
	c, root, err := g.skiffTool(path)
	if err != nil {
		return err
	}
	s.helpers = []string{client.Stage}
	s.undo = append(s.undo, func() error { return removeStore(c, g.skiff, root) })
	if _, err := c.run([]string{g.skiff, "pull", "-q", g.image}); err != nil {
		return err
	}
	network := "bridge"
	if mtu > 0 {
		network = "mtu" + strconv.Itoa(mtu)
		if _, err := c.run([]string{g.skiff, "network", "create", "--opt", "mtu=" + strconv.Itoa(mtu), network}); err != nil {
			return err
		}
		s.undo = append(s.undo, func() error { _, err := c.run([]string{g.skiff, "network", "rm", network}); return err })
	}
	run := []string{g.skiff, "run", "--rm", "-i", "--network", network, "-v", g.load + ":/netload:ro"}
	// By address, as the others': a client that looks a name up for each connection is measured with that.
	return g.containers(s, c, run, member.HostAddress.String(), true)
}

func (g *ground) skiffTool(path string) (c *contender, root string, err error) {
	place := "skiff" + path
	root = filepath.Join(g.base, place, "store")
	env, err := environment(g.base, place, "SKIFF_ROOT="+root, client.PathVariable+"="+path)
	return &contender{name: "skiff", env: env, dir: g.base}, root, err
}

// noHelper waits until a store's network helper, which stays for a while after its
// last container, has ended. It does not ask the helper: that would keep it.
func noHelper(root string) error {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		all, err := processes()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(p process) bool { return p.is(client.Stage) && slices.Contains(p.argv, root) }) {
			return nil
		}
	}
	return errors.New("the network helper stays after its last container")
}

func removeStore(c *contender, program, root string) error {
	_, err := c.run([]string{"sh", "-c", `"$0" ps -aq | xargs -r "$0" rm -f >/dev/null`, program})
	err = errors.Join(err, noHelper(root))
	_, e := c.run([]string{program, "unshare", "rm", "-rf", root})
	return errors.Join(err, e)
}

// containers starts two containers with an agent each: the first has its port published.
// peers says that the second reaches the first by name.
func (g *ground) containers(s *stand, c *contender, run []string, host string, peers bool) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	publish := strconv.Itoa(port) + ":" + strconv.Itoa(containerPort)
	argv := append(append([]string{}, run...), "--name", "first", "-p", publish, "-p", publish+"/udp", g.image, "/netload", "agent")
	first, err := s.launch(c.env, c.dir, argv...)
	if err != nil {
		return err
	}
	s.out, s.in, s.own = first.to(host, g.port), here("127.0.0.1", port), here(g.own, port)
	if !peers {
		return nil
	}
	second, err := s.launch(c.env, c.dir, append(append([]string{}, run...), "--name", "second", g.image, "/netload", "agent")...)
	if err != nil {
		return err
	}
	s.between = second.to("first", containerPort)
	return nil
}

// podmanTool prepares a podman with a store of its own. The place is short, as sockets lie below it.
func (g *ground) podmanTool(place string) (*contender, error) {
	c, err := newPodman(filepath.Join(g.base, place), g.image)
	if err != nil {
		return nil, err
	}
	_, err = c.run([]string{"podman", "pull", "-q", "--tls-verify=false", g.image})
	return c, err
}

func (g *ground) podmanSlirp(s *stand, mtu int) error {
	c, err := g.podmanTool("s")
	if err != nil {
		return err
	}
	s.undo = append(s.undo, c.after)
	s.helpers = []string{"slirp4netns", "rootlessport", "rootlessport-child"}
	network := "slirp4netns:allow_host_loopback=true"
	if mtu > 0 {
		network += ",mtu=" + strconv.Itoa(mtu)
	}
	return g.containers(s, c, []string{"podman", "run", "--rm", "-i", "--network", network, "-v", g.load + ":/netload:ro"}, "10.0.2.2", false)
}

// podmanBridge is podman's network for several containers: a bridge in a namespace
// whose way out is slirp4netns.
func (g *ground) podmanBridge(s *stand, mtu int) error {
	c, err := g.podmanTool("b")
	if err != nil {
		return err
	}
	s.undo = append(s.undo, c.after)
	s.helpers = []string{"slirp4netns", "rootlessport", "rootlessport-child"}
	argv := []string{"podman", "network", "create"}
	if mtu > 0 {
		argv = append(argv, "--opt", "mtu="+strconv.Itoa(mtu))
	}
	if _, err := c.run(append(argv, "bench")); err != nil {
		return err
	}
	s.undo = append(s.undo, func() error { _, err := c.run([]string{"podman", "network", "rm", "-f", "bench"}); return err })
	run := []string{"podman", "run", "--rm", "-i", "--network", "bench", "-v", g.load + ":/netload:ro"}
	if err := g.containers(s, c, run, g.own, false); err != nil {
		return err
	}
	second, err := s.launch(c.env, c.dir, append(append([]string{}, run...), "--name", "second", g.image, "/netload", "agent")...)
	if err != nil {
		return err
	}
	// Names need a plug-in that Debian has in a package of its own.
	address, _, err := c.output([]string{"podman", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "first"})
	if err != nil {
		return err
	}
	s.between = second.to(address, containerPort)
	return nil
}

// pasta makes a namespace alone. It gives it the host's own address, so it is the
// gateway's that leads to the host.
func (g *ground) pasta(s *stand, mtu int) error {
	env, err := environment(g.base, "pasta")
	if err != nil {
		return err
	}
	gateway, err := defaultGateway()
	if err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	publish := fmt.Sprintf("%d:%d", port, containerPort)
	argv := []string{"pasta", "--config-net", "-t", publish, "-u", publish}
	if mtu > 0 {
		argv = append(argv, "-m", strconv.Itoa(mtu))
	}
	s.helpers = []string{"pasta", "pasta.avx2"}
	a, err := s.launch(env, g.base, append(argv, "--", g.load, "agent")...)
	if err != nil {
		return err
	}
	s.out, s.in = a.to(gateway, g.port), here("127.0.0.1", port)
	return nil
}

// rootlesskit's builtin port driver; its way out is slirp4netns and measured as that.
func (g *ground) rootlesskit(s *stand, mtu int) error {
	env, err := environment(g.base, "rootlesskit")
	if err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	argv := []string{"rootlesskit", "--net=slirp4netns", "--port-driver=builtin"}
	for _, protocol := range []string{"tcp", "udp"} {
		argv = append(argv, "-p", fmt.Sprintf("0.0.0.0:%d:%d/%s", port, containerPort, protocol))
	}
	if mtu > 0 {
		argv = append(argv, "--mtu="+strconv.Itoa(mtu))
	}
	s.helpers = []string{"slirp4netns", "rootlesskit", "exe"}
	if _, err := s.launch(env, g.base, append(argv, g.load, "agent")...); err != nil {
		return err
	}
	s.in, s.own = here("127.0.0.1", port), here(g.own, port)
	return nil
}

// loopback is this machine with nothing between.
func (g *ground) loopback(s *stand, _ int) error {
	a, err := s.launchIn(&syscall.SysProcAttr{}, 0, os.Environ(), g.base, g.load, "agent")
	if err != nil {
		return err
	}
	s.out, s.in, s.own, s.between = a.to("127.0.0.1", g.port), here("127.0.0.1", a.port), here(g.own, a.port), a.to("127.0.0.1", g.port)
	return nil
}

// veth is two namespaces and the pair of interfaces between them (pair.go).
func (g *ground) veth(s *stand, mtu int) error {
	a, err := s.launchPair(g.base, mtu)
	if err != nil {
		return err
	}
	s.between = a.to(pairServer, containerPort)
	return nil
}

// defaultGateway reads the main routing table (proc_net_route: little-endian words).
func defaultGateway() (string, error) {
	f, err := os.Open("/proc/net/route")
	if err != nil {
		return "", err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || fields[1] != "00000000" {
			continue
		}
		raw, err := hex.DecodeString(fields[2])
		if err != nil || len(raw) != 4 {
			continue
		}
		return net.IPv4(raw[3], raw[2], raw[1], raw[0]).String(), nil
	}
	return "", fmt.Errorf("finding the gateway: no default route")
}
