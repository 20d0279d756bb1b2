// Package netlab gives tests networks of their own: the test program runs again in a
// user and network namespace that stands for the host, as an ordinary user may make
// them, and everything in it is gone with the process.
package netlab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/vishvananda/netlink"
)

const inside = "SKIFF_NETLAB"

// Main is for TestMain: os.Exit(netlab.Main(m)). Tests then run as root of a user
// namespace in which only this user is mapped. Its network namespace, "the host", has the loopback
// interface up and a dummy interface "out0" with 192.0.2.10/24, 192.0.2.11/24 and
// 2001:db8::10/64 and the default routes. /proc is the machine's.
func Main(m *testing.M) int {
	if os.Getenv(inside) == "" {
		return again()
	}
	if slices.Contains(os.Args, "-test.fuzzworker") { // a child of a test program that has furnished
		return m.Run()
	}
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "netlab:", err)
		return 1
	}
	return m.Run()
}

func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := cmd.Run(); err != nil {
		if cmd.ProcessState == nil {
			fmt.Fprintln(os.Stderr, "netlab: making a user namespace:", err)
			return 1
		}
		return cmd.ProcessState.ExitCode()
	}
	return 0
}

func furnish() error {
	if err := Up("lo"); err != nil {
		return err
	}
	var err error
	if world, err = space.New(); err != nil {
		return err
	}
	out := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "out0", TxQLen: 1000}, PeerName: "eth0", PeerNamespace: netlink.NsFd(world.File().Fd())}
	if err := netlink.LinkAdd(out); err != nil {
		return fmt.Errorf("making out0: %w", err)
	}
	if err := Up("out0", hosts...); err != nil {
		return err
	}
	for _, gateway := range []string{"192.0.2.1", "2001:db8::1"} {
		route := &netlink.Route{LinkIndex: out.Attrs().Index, Gw: netip.MustParseAddr(gateway).AsSlice()}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("routing by %s: %w", gateway, err)
		}
	}
	own := []string{"192.0.2.1/24", "192.0.2.2/24", "2001:db8::1/64", "2001:db8::2/64"}
	err = world.Do(func() error {
		if err := Up("lo"); err != nil {
			return err
		}
		if err := Up("eth0", own...); err != nil {
			return err
		}
		return settle("eth0", own...)
	})
	if err != nil {
		return err
	}
	return settle("out0", hosts...)
}

// hosts are out0's addresses.
var hosts = []string{"192.0.2.10/24", "192.0.2.11/24", "2001:db8::10/64"}

var world *space.Space

// World is what the host's default routes lead to: a network namespace with
// 192.0.2.1, 192.0.2.2, 2001:db8::1 and 2001:db8::2.
func World() *space.Space { return world }

// Up sets an interface of the calling thread's namespace up, with addresses, without
// duplicate address detection, of its link-local address neither.
func Up(name string, addresses ...string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("finding %s: %w", name, err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/accept_dad", []byte("0"), 0); err != nil {
		return err
	}
	for _, text := range addresses {
		addr, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		if addr.IP.To4() == nil {
			addr.Flags = syscall.IFA_F_NODAD
		}
		if err := netlink.AddrReplace(link, addr); err != nil {
			return fmt.Errorf("giving %s the address %s: %w", name, text, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("setting %s up: %w", name, err)
	}
	return nil
}

// settle waits until the kernel, on threads of its own, has made of an interface of the calling
// thread's namespace what Up and its peer's Up have said.
func settle(name string, addresses ...string) error {
	if err := Carrier(name); err != nil {
		return err
	}
	for _, text := range addresses {
		addr := netip.MustParsePrefix(text).Addr()
		if addr.Is4() {
			continue
		}
		err := await(fmt.Sprintf("neighbours do not find %s at %s", addr, name), func() (bool, error) {
			if in, err := solicited(name, addr); !in {
				return false, err
			}
			return solicits(name)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// solicits tells whether neighbours are asked for by IPv6 from an interface, which is done
// from a link-local address.
func solicits(name string) (bool, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return false, err
	}
	all, err := netlink.AddrList(link, netlink.FAMILY_V6)
	if errors.Is(err, netlink.ErrDumpInterrupted) { // they are changing just now
		return false, nil
	}
	return slices.ContainsFunc(all, func(a netlink.Addr) bool {
		return a.IP.IsLinkLocalUnicast() && a.Flags&syscall.IFA_F_TENTATIVE == 0
	}), err
}

// solicited tells whether an interface is in the group by which neighbours look for an address
// (RFC 4291, 2.7.1).
func solicited(name string, addr netip.Addr) (bool, error) {
	groups, err := os.ReadFile("/proc/thread-self/net/igmp6")
	if err != nil {
		return false, err
	}
	last := addr.As16()
	group := fmt.Sprintf("ff0200000000000000000001ff%x", last[13:])
	for line := range strings.Lines(string(groups)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[1] == name && fields[2] == group {
			return true, nil
		}
	}
	return false, nil
}

// await waits for what the kernel does on a thread of its own. Where all are busy with
// interfaces, that takes longer than a neighbour is asked for.
func await(complaint string, is func() (bool, error)) error {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
		if done, err := is(); done || err != nil {
			return err
		}
	}
	return errors.New(complaint)
}

// Carrier waits until the kernel has noticed that an interface of the calling thread's
// namespace has a peer that is up. Packets of before are lost.
func Carrier(name string) error {
	return await(name+" has no carrier", func() (bool, error) {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return false, fmt.Errorf("finding %s: %w", name, err)
		}
		return link.Attrs().OperState == netlink.OperUp, nil
	})
}

// Space makes a network namespace with the loopback interface up, closed with the test.
func Space(t testing.TB) *space.Space {
	t.Helper()
	s, err := space.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Do(func() error { return Up("lo") }); err != nil {
		t.Fatal(err)
	}
	return s
}

// Container makes a network namespace that is connected to router's: an interface
// eth0 with the given addresses ("10.90.0.2/24") in it, whose other end, named
// hostEnd, gets the gateways' ("10.90.0.1/24") in router and forwards. It has default routes by them.
func Container(t testing.TB, router *space.Space, hostEnd string, addresses, gateways []string) *space.Space {
	t.Helper()
	c := Space(t)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(router.Do(func() error {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: hostEnd, MTU: 65520, TxQLen: 1000}, PeerName: "eth0",
			PeerNamespace: netlink.NsFd(c.File().Fd())}
		if err := netlink.LinkAdd(veth); err != nil {
			return fmt.Errorf("making %s: %w", hostEnd, err)
		}
		for _, sysctl := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
			if err := os.WriteFile("/proc/sys/net/"+sysctl, []byte("1"), 0); err != nil {
				return err
			}
		}
		return Up(hostEnd, gateways...)
	}))
	check(c.Do(func() error {
		if err := Up("eth0", addresses...); err != nil {
			return err
		}
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		for _, text := range gateways {
			gateway := netip.MustParsePrefix(text).Addr()
			if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()}); err != nil {
				return fmt.Errorf("routing by %s: %w", gateway, err)
			}
		}
		return settle("eth0", addresses...)
	}))
	check(router.Do(func() error { return settle(hostEnd, gateways...) }))
	return c
}
