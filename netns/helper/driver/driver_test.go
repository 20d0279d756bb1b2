package driver

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m)) }

// Each program connects a container: it reaches the world, its published ports are
// reached, the host's loopback services are not, and nothing is left when it ends.
func TestConnect(t *testing.T) {
	for _, kind := range []string{Pasta, Slirp} {
		t.Run(kind, func(t *testing.T) {
			if _, err := exec.LookPath(kind); err != nil {
				t.Fatal(err)
			}
			serve(t, netlab.World(), "192.0.2.1:0", func(world netip.AddrPort) {
				c := netlab.Space(t)
				dir := filepath.Join(t.TempDir(), strings.Repeat("a long name ", 10))
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				r, err := Start(Config{Kind: kind, Container: c.File(), Dir: dir, Ports: []store.Port{
					{ContainerPort: 80, Protocol: "tcp"}, {HostIP: "127.0.0.1", ContainerPort: 80, Protocol: "tcp"},
				}})
				if err != nil {
					t.Fatal(err)
				}
				defer r.Stop()
				eventually(t, func() error { return ask(c, world.String(), patience) })
				serve(t, c, "0.0.0.0:80", func(netip.AddrPort) {
					for _, p := range r.Ports {
						eventually(t, func() error { return ask(nil, fmt.Sprintf("127.0.0.1:%d", p.HostPort), patience) })
					}
				})
				serve(t, nil, "127.0.0.1:0", func(host netip.AddrPort) {
					for _, gateway := range []string{"10.0.2.2", "192.0.2.1"} {
						if err := ask(c, fmt.Sprintf("%s:%d", gateway, host.Port()), 500*time.Millisecond); err == nil {
							t.Errorf("the host's loopback is reached by %s", gateway)
						}
					}
				})
				r.Stop()
				if err := ask(c, world.String(), 500*time.Millisecond); err == nil {
					t.Error("the world is still reached")
				}
				if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.Ports[0].HostPort)); err == nil {
					c.Close()
					t.Error("the port is still open")
				}
			})
		})
	}
}

// serve has f called while a server echoes at an address in a space, nil: the host's.
func serve(t *testing.T, s *space.Space, addr string, f func(netip.AddrPort)) {
	t.Helper()
	var l net.Listener
	err := in(s, func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	f(l.Addr().(*net.TCPAddr).AddrPort())
}

func in(s *space.Space, f func() error) error {
	if s == nil {
		return f()
	}
	return s.Do(f)
}

// ask has an echo within a time.
func ask(s *space.Space, addr string, limit time.Duration) error {
	return in(s, func() error {
		c, err := net.DialTimeout("tcp", addr, limit)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(limit))
		if _, err := c.Write([]byte("hello")); err != nil {
			return err
		}
		_, err = io.ReadFull(c, make([]byte, 5))
		return err
	})
}

// eventually waits for what comes within milliseconds, on a machine that is not busy.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(3 * patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Error(err)
}

// What cannot be is said in words.
func TestErrors(t *testing.T) {
	c := netlab.Space(t)
	for _, bad := range []struct {
		config Config
		want   string
	}{
		{Config{Kind: Pasta, Options: map[string]string{"args": "--no-such-argument"}}, "no-such-argument"},
		{Config{Kind: Pasta, Options: map[string]string{"args": "--netns,/proc/1/ns/net"}}, "--netns is skiff's to give"},
		{Config{Kind: Slirp, Options: map[string]string{"cidr": "here"}}, `cidr "here"`},
		{Config{Kind: Slirp, Options: map[string]string{"colour": "blue"}}, `no option "colour"`},
		{Config{Kind: "vpnkit"}, `"vpnkit"`},
	} {
		if _, err := exec.LookPath(bad.config.Kind); err != nil && bad.config.Kind != "vpnkit" {
			t.Skip(err)
		}
		bad.config.Container, bad.config.Dir = c.File(), t.TempDir()
		if _, err := Start(bad.config); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%v: %v, want %q", bad.config.Options, err, bad.want)
		}
	}
	t.Setenv("PATH", t.TempDir())
	for kind, pkg := range map[string]string{Pasta: "passt", Slirp: "slirp4netns"} {
		var host *userns.HostError
		if _, err := Start(Config{Kind: kind}); !errors.As(err, &host) || !strings.Contains(host.Hint, "the package "+pkg) {
			t.Errorf("%s is not installed: %v", kind, err)
		}
	}
}

// Each port that nobody chose is another one, and a range gives each of its numbers once.
func TestChoose(t *testing.T) {
	one := store.Port{HostIP: "127.0.0.1", ContainerPort: 80, Protocol: "tcp"}
	found, err := choose([]store.Port{one})
	if err != nil {
		t.Fatal(err)
	}
	first := found[0].HostPort
	if first > 65000 {
		first = 50000
	}
	one.HostPort, one.HostPortEnd = first, first+500
	other := one
	other.HostIP = "0.0.0.0"
	found, err = choose([]store.Port{one, one, other, one})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint16]bool{}
	for _, p := range found {
		if seen[p.HostPort] || p.HostPort < first || p.HostPort > first+500 || p.HostPortEnd != 0 {
			t.Errorf("chosen are %+v", found)
		}
		seen[p.HostPort] = true
	}
}

func TestPastaArgs(t *testing.T) {
	args, err := pastaArgs("-T,8080,--map-gw", netip.MustParseAddr("169.254.1.1"), []store.Port{{HostIP: "127.0.0.1", HostPort: 8081, ContainerPort: 80, Protocol: "udp"}})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(args, " ") + " "
	for _, want := range []string{"--tcp-ports none ", "-T 8080 ", "-u 127.0.0.1/8081:80 ", "--udp-ns none ", "--dns-forward 169.254.1.1 "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	for _, bad := range []string{"--tcp-ns", "--udp-ports", "--no-map-gw"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q is in %q", bad, text)
		}
	}
}
