package run

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/netns/client"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// networking is the network helper's side of a start: found or started while the
// container is made.
type networking struct {
	done chan struct{}
	conn *client.Conn
	main *os.File // this program, by which a shim can start another helper
	err  error
}

// beginNetworking reaches the helper for a container that has networks; for another
// it returns nil, which has all methods.
func (e *Engine) beginNetworking(r *store.Record) *networking {
	if !netns.Mode(r.HostConfig.NetworkMode).Served() {
		return nil
	}
	n := &networking{done: make(chan struct{})}
	go func() {
		defer close(n.done)
		n.main, n.err = mainProgram()
		if n.err == nil {
			start := client.Start{Store: e.Store, Program: n.main}
			n.conn, n.err = start.Connect()
		}
	}()
	return n
}

// mainProgram is the running program, whatever becomes of its path.
func mainProgram() (*os.File, error) {
	fd, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening skiff's own program: %w", err)
	}
	return os.NewFile(uintptr(fd), "skiff"), nil
}

// join gives the container, which is about to start, its place in its networks, and
// writes the files that tell it where it is.
func (e *Engine) join(c *store.Container, r *store.Record) error {
	a, err := netns.Plan(e.Store, r)
	if err != nil {
		return err
	}
	if a == nil {
		return writeNetworkFiles(c.Dir, r, nil, nil)
	}
	a.Ports = netns.PortsOf(r)
	err = store.WriteAttachment(c.Dir, a, store.Fleeting)
	if err == nil {
		err = e.writeJoined(c.Dir, r, a)
	}
	if err != nil {
		e.Store.ReleaseAll(c.Dir, c.ID)
	}
	return err
}

// writeJoined writes the network files of a container with networks.
func (e *Engine) writeJoined(dir string, r *store.Record, a *store.Attachment) error {
	servers, err := e.nameServers(a)
	if err != nil {
		return err
	}
	return writeNetworkFiles(dir, r, a, servers)
}

// nameServers are the addresses at which the helper answers a container.
func (e *Engine) nameServers(a *store.Attachment) ([]netip.Addr, error) {
	networks := map[string]*store.Network{}
	for _, endpoint := range a.Endpoints {
		n, err := e.Store.Network(endpoint.Network)
		if err != nil {
			return nil, err
		}
		networks[n.Name] = n
	}
	return netns.NameServers(a, networks), nil
}

// writeNetworkFiles writes hosts, hostname and resolv.conf of a container that does
// not run. Each start writes them anew, so they need not survive a power cut.
func writeNetworkFiles(dir string, r *store.Record, a *store.Attachment, servers []netip.Addr) error {
	hosts, resolv, err := networkTexts(r, a, servers)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{
		{fileHosts, hosts},
		{fileHostname, []byte(r.Config.Hostname + "\n")},
		{fileResolv, resolv},
	} {
		if err := fresh(dir, f.name, f.data, 0o644, store.Fleeting); err != nil {
			return err
		}
	}
	return nil
}

// networkTexts are a container's hosts and resolv.conf.
func networkTexts(r *store.Record, a *store.Attachment, servers []netip.Addr) (hosts, resolv []byte, err error) {
	h := &r.HostConfig
	resolv, err = netns.Resolv(servers, store.DNS{Servers: h.DNS, Search: h.DNSSearch, Options: h.DNSOptions})
	if err != nil {
		return nil, nil, fmt.Errorf("reading the host's resolver: %w", err)
	}
	return netns.Hosts(netns.Mode(h.NetworkMode), fullName(&r.Config), a, h.ExtraHosts), resolv, nil
}

// files are what the shim is handed: the connection and the program, or nothing.
func (n *networking) files() ([]*os.File, error) {
	if n == nil {
		return nil, nil
	}
	<-n.done
	if n.err != nil {
		return nil, n.err
	}
	return []*os.File{n.conn.File(), n.main}, nil
}

// close lets go of what the shim has its own copies of.
func (n *networking) close() {
	if n == nil {
		return
	}
	<-n.done
	if n.conn != nil {
		n.conn.Close()
	}
	if n.main != nil {
		n.main.Close()
	}
}
