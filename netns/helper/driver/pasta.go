package driver

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/store"
)

// pastaDefaults are the arguments that a container is connected with, unless the user
// gives them (or the other one of a pair): nothing of the host's loopback is open, and
// no port is forwarded by itself.
var pastaDefaults = []struct {
	names []string
	value string
}{
	{[]string{"--tcp-ports", "-t"}, "none"},
	{[]string{"--udp-ports", "-u"}, "none"},
	{[]string{"--tcp-ns", "-T"}, "none"},
	{[]string{"--udp-ns", "-U"}, "none"},
	{[]string{"--no-map-gw", "--map-gw"}, ""},
}

func startPasta(c Config) (*Running, error) {
	path, err := find(Pasta, "passt")
	if err != nil {
		return nil, err
	}
	ports, err := choose(c.Ports)
	if err != nil {
		return nil, err
	}
	args, err := pastaArgs(c.Options["args"], c.Server, ports)
	if err != nil {
		return nil, err
	}
	ready, done, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("connecting the container by pasta: %w", err)
	}
	// All other descriptors are closed by pasta at once: the namespace comes as its
	// input. It writes its process id when the container is connected.
	cmd := exec.Command(path, append(args, "--netns", "/proc/self/fd/0", "--pid", "/proc/self/fd/1")...)
	cmd.Args[0] = Pasta
	cmd.Stdin, cmd.Stdout = c.Container, done
	r, err := start(cmd, ready, done)
	if err != nil {
		return nil, err
	}
	r.Ports = ports
	return r, nil
}

// pastaArgs puts the arguments together: ours, then the user's.
func pastaArgs(user string, server netip.Addr, ports []store.Port) ([]string, error) {
	// As nobody, which it becomes where root of the host runs it, it could not enter
	// the container's namespace. It locks itself in either way.
	args := []string{"--foreground", "--stderr", "--quiet", "--config-net", "--no-netns-quit", "--runas", "0"}
	var given []string
	if user != "" {
		given = strings.Split(user, ",")
	}
	for _, p := range ports {
		flag := map[string]string{"tcp": "-t", "udp": "-u"}[p.Protocol]
		if flag == "" {
			return nil, fmt.Errorf("publishing port %d/%s: pasta knows tcp and udp", p.ContainerPort, p.Protocol)
		}
		spec := fmt.Sprintf("%d:%d", p.HostPort, p.ContainerPort)
		if p.HostIP != "" {
			spec = p.HostIP + "/" + spec
		}
		given = append(given, flag, spec)
	}
	if server.IsValid() && !mentions(given, []string{"--dns-forward"}) {
		args = append(args, "--dns-forward", server.String())
	}
	for _, d := range pastaDefaults {
		if mentions(given, d.names) {
			continue
		}
		args = append(args, d.names[0])
		if d.value != "" {
			args = append(args, d.value)
		}
	}
	for _, a := range given {
		for _, ours := range []string{"--netns", "--userns", "--pid", "-P", "--foreground", "-f", "--runas"} {
			if a == ours || strings.HasPrefix(a, ours+"=") {
				return nil, fmt.Errorf("connecting the container by pasta: the argument %s is skiff's to give", ours)
			}
		}
	}
	return append(args, given...), nil
}

func mentions(args, names []string) bool {
	for _, a := range args {
		for _, name := range names {
			long := strings.HasPrefix(name, "--")
			if a == name || long && strings.HasPrefix(a, name+"=") || !long && strings.HasPrefix(a, name) {
				return true
			}
		}
	}
	return false
}

// choose finds a free port of the host for each that was not asked for by number, another one
// for each.
func choose(ports []store.Port) ([]store.Port, error) {
	chosen := make([]store.Port, len(ports))
	var held []io.Closer
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for i, p := range ports {
		if p.HostPort == 0 || p.HostPortEnd > p.HostPort {
			port, taken, err := take(p)
			if err != nil {
				return nil, fmt.Errorf("publishing port %d/%s: %w", p.ContainerPort, p.Protocol, err)
			}
			held = append(held, taken)
			p.HostPort = port
		}
		p.HostPortEnd = 0
		chosen[i] = p
	}
	return chosen, nil
}

// take finds a port by having it until the closer is closed.
func take(p store.Port) (port uint16, taken io.Closer, err error) {
	first, last := int(p.HostPort), max(int(p.HostPortEnd), int(p.HostPort))
	for port := first; port <= last; port++ {
		at := net.JoinHostPort(p.HostIP, strconv.Itoa(port))
		if p.Protocol == "udp" {
			var c net.PacketConn
			if c, err = net.ListenPacket("udp", at); err == nil {
				return c.LocalAddr().(*net.UDPAddr).AddrPort().Port(), c, nil
			}
		} else {
			var l net.Listener
			if l, err = net.Listen("tcp", at); err == nil {
				return l.Addr().(*net.TCPAddr).AddrPort().Port(), l, nil
			}
		}
	}
	return 0, nil, err
}
