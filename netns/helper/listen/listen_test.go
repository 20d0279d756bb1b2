package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m)) }

func bound(t *testing.T, o Options, want ...store.Port) []*Socket {
	t.Helper()
	all, err := Bind(want, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { CloseAll(all) })
	return all
}

// One socket has both families at one number, unless an address is given.
func TestFamilies(t *testing.T) {
	for _, protocol := range []string{"tcp", "udp"} {
		for ip, want := range map[string]string{"": "0.0.0.0 ::", "0.0.0.0": "0.0.0.0", "::": "::", "127.0.0.1": "127.0.0.1", "::1": "::1"} {
			s := bound(t, Options{}, store.Port{HostIP: ip, ContainerPort: 80, Protocol: protocol})
			var got []string
			for _, p := range s[0].Bound() {
				got = append(got, p.HostIP)
				if p.HostPort == 0 || p.HostPort != s[0].Addr.Port() || p.ContainerPort != 80 || p.Protocol != protocol {
					t.Errorf("%s %q: %+v", protocol, ip, p)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s %q: bound at %v, want %s", protocol, ip, got, want)
			}
		}
	}
}

// A range gives the first free port; what an earlier process had comes first.
func TestRange(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first := uint16(l.Addr().(*net.TCPAddr).Port)
	want := store.Port{HostPort: first, HostPortEnd: first + 20, ContainerPort: 80, Protocol: "tcp"}
	s := bound(t, Options{}, want)
	if port := s[0].Addr.Port(); port <= first || port > first+20 {
		t.Errorf("bound at %d of %d-%d", port, first, first+20)
	}
	CloseAll(s)
	before := []store.Port{{HostIP: "0.0.0.0", HostPort: first + 20, ContainerPort: 80, Protocol: "tcp"}}
	if s := bound(t, Options{Before: before}, want); s[0].Addr.Port() != first+20 {
		t.Errorf("bound at %d, before it was %d", s[0].Addr.Port(), first+20)
	}
	want.HostPortEnd = first + 1
	want.HostIP = "127.0.0.1"
	taken := bound(t, Options{}, store.Port{HostIP: "127.0.0.1", HostPort: first + 1, ContainerPort: 80, Protocol: "tcp"})
	defer CloseAll(taken)
	_, err = Bind([]store.Port{want}, Options{})
	if text := fmt.Sprintf("publishing port 80/tcp: no port of the range %d-%d is free, the last one: the address 127.0.0.1:%d is already in use", first, first+1, first+1); err == nil || !strings.HasPrefix(err.Error(), text) {
		t.Errorf("error %v, want %q", err, text)
	}
}

// Two wishes of one container that exclude each other are told so.
func TestOwnConflict(t *testing.T) {
	s := bound(t, Options{}, store.Port{ContainerPort: 1, Protocol: "tcp"})
	port := s[0].Addr.Port()
	CloseAll(s)
	_, err := Bind([]store.Port{{HostPort: port, ContainerPort: 80, Protocol: "tcp"}, {HostIP: "127.0.0.1", HostPort: port, ContainerPort: 81, Protocol: "tcp"}}, Options{})
	if err == nil || !strings.HasSuffix(err.Error(), "port is already allocated, to another port of the container") {
		t.Error(err)
	}
	bound(t, Options{}, store.Port{HostPort: port, ContainerPort: 80, Protocol: "tcp"}, store.Port{HostPort: port, ContainerPort: 80, Protocol: "udp"})
}

// A privileged port is refused with the sysctl, and can be used where another process bound it.
func TestPrivileged(t *testing.T) {
	const parameter = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
	set := func(first string) {
		t.Helper()
		if err := os.WriteFile(parameter, []byte(first), 0); err != nil {
			t.Fatal(err)
		}
	}
	defer set("1024")
	want := store.Port{HostPort: 81, ContainerPort: 80, Protocol: "tcp"}
	all := bound(t, Options{}, want, store.Port{ContainerPort: 90, Protocol: "tcp"}) // root of its own namespaces may
	files, err := Privileged(all)
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	CloseAll(all)
	given, err := Inherit(files)
	if err != nil {
		t.Fatal(err)
	}
	files[0].Close()
	if s := bound(t, Options{Have: given}, want); s[0] != given[0] || len(s[0].Bound()) != 2 || s[0].Bound()[0].ContainerPort != 80 {
		t.Errorf("%+v, not the inherited one", s[0])
	}
	text := explain(want, netip.MustParseAddrPort("[::]:81"), unix.EACCES, nil)
	var host *userns.HostError
	if !errors.As(text, &host) || host.Hint != "sudo sysctl net.ipv4.ip_unprivileged_port_start=81" || !strings.HasPrefix(text.Error(), "publishing port 81/tcp: ports below 1024 are privileged on this machine") {
		t.Error(text)
	}
}

// Ten thousand ports at once, and all are free afterwards.
func TestTenThousand(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 11000 {
		t.Skipf("descriptors are limited to %d", limit.Cur)
	}
	var want []store.Port
	for i := range 10000 {
		want = append(want, store.Port{HostPort: uint16(20000 + i), ContainerPort: uint16(20000 + i), Protocol: "tcp"})
	}
	for range 2 {
		all, err := Bind(want, Options{})
		if err != nil {
			t.Fatal(err)
		}
		again, err := Bind(want, Options{Have: all})
		if err != nil || again[9999] != all[9999] {
			t.Error("binding again what is there:", err)
		}
		CloseAll(all)
	}
}

func FuzzParseLocal(f *testing.F) {
	for _, text := range []string{"0100007F:1F90", "00000000000000000000000001000000:0050", ":", "0100007F"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { parseLocal(text) })
}

func TestParseLocal(t *testing.T) {
	for text, want := range map[string]string{"0100007F:1F90": "127.0.0.1:8080", "00000000000000000000000001000000:0050": "[::1]:80", "0000000000000000FFFF00000A00020F:0050": "15.2.0.10:80"} {
		if got, ok := parseLocal(text); !ok || got.String() != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}
