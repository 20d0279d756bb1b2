// Package link makes the interfaces: the bridges in N, the veth pairs that join
// containers to them, what lies in N for macvlan and overlay networks, and the
// addresses and routes in containers. All of it is "make it so": what is right already
// is left as it is, so that a new helper can go over everything without an established
// connection noticing.
//
//	container                     N
//	┌────────────────┐   ┌─────────────────────────────────────────────┐
//	│ eth0 10.90.0.2 │═══│ sv…  ┐                                      │
//	└────────────────┘   │      ├─ sk…  bridge, 10.90.0.1              │
//	┌────────────────┐   │ sv…  ┘                                      │
//	│ eth0 10.90.0.3 │═══│                                             │
//	└────────────────┘   │ sm… ═ sn… ─ sk…   macvlan: eth0 lies on sm… │
//	                     │ sx… ─ sk…         overlay: a vxlan          │
//	                     └─────────────────────────────────────────────┘
//
// Names of interfaces in N come from the ids of networks and endpoints.
package link

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/store"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Links are the interfaces of one N. The methods may be called by several goroutines.
type Links struct {
	n    *space.Space
	conn *conn

	mu       sync.Mutex
	wires    map[string]int    // the index of the bridge that a network lies on, once it is as it should be, by the network's id
	current  map[string]string // name of a network → its bridge
	macvlans map[string]int    // the MTU of what a macvlan network lies on, by its id
	tunnels  map[string]bool   // overlay networks that are joined to other hosts, by id
}

// What N's interfaces are called, before 10 digits of an id: a network's bridge, an
// endpoint's port, what its macvlan lies on, a network's vxlan.
const (
	prefixBridge  = "sk"
	prefixPort    = "sv"
	prefixCarrier = "sm"
	prefixVxlan   = "sx"
)

// ours tells whether an interface has a name of this package's making.
func ours(name string) bool {
	return len(name) == 12 && name[0] == 's' && strings.ContainsRune("kvmx", rune(name[1])) && strings.Trim(name[2:], "0123456789abcdef") == ""
}

func name(prefix, id string) string { return prefix + id[:min(len(id), 10)] }

// Bridge is the name of a network's bridge in N.
func Bridge(n *store.Network) string { return name(prefixBridge, n.ID) }

// Port is the name of the port of a bridge by which an endpoint's frames come into N.
func Port(e *store.Endpoint) string { return name(prefixPort, e.ID) }

// New begins with what an earlier helper left in N.
func New(n *space.Space) (*Links, error) {
	l := &Links{n: n, wires: map[string]int{}, current: map[string]string{}, macvlans: map[string]int{}, tunnels: map[string]bool{}}
	err := n.Do(func() (err error) {
		if err := parameters(); err != nil {
			return err
		}
		if l.conn, err = dial(); err != nil {
			return err
		}
		found, err := list()
		if err != nil {
			return err
		}
		for _, f := range found {
			if a := f.Attrs(); f.Type() == "bridge" && a.Alias != "" {
				l.current[a.Alias] = a.Name
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Close lets go of the connection to the kernel; the interfaces stay.
func (l *Links) Close() { l.conn.close() }

// parameters that N's interfaces are made with. Ports need no link-local address, and
// bridges are given theirs; frames between ports of a bridge are not the business of N's IP rules, which
// the module br_netfilter would make them, where the host has loaded it.
func parameters() error {
	for _, p := range []struct{ path, value string }{
		{"ipv6/conf/default/addr_gen_mode", "1"},
		{"bridge/bridge-nf-call-iptables", "0"},
		{"bridge/bridge-nf-call-ip6tables", "0"},
		{"bridge/bridge-nf-call-arptables", "0"},
	} {
		if err := set(p.path, p.value); err != nil {
			return err
		}
	}
	return nil
}

// set writes a kernel parameter of the calling thread's network namespace, where
// there is such a one and it has another value. Without IPv6 there is none of IPv6's.
func set(path, value string) error {
	path = "/proc/sys/net/" + path
	old, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && string(old) == value+"\n" {
		return nil
	}
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		return fmt.Errorf("setting %s: %w", path, err)
	}
	return nil
}

// Interfaces lists the names of all interfaces in N but lo.
func (l *Links) Interfaces() ([]string, error) {
	var names []string
	err := l.n.Do(func() error {
		found, err := list()
		for _, f := range found {
			if a := f.Attrs(); a.Name != "lo" {
				names = append(names, a.Name)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

// Sweep removes those interfaces of N for containers and networks that nobody needs;
// keep is asked by the names of bridges and ports. Each takes the kernel 10 ms and more.
func (l *Links) Sweep(keep func(name string) bool) error {
	names, err := l.Interfaces()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if !ours(name) || keep(name) || keep(strings.Replace(name, prefixCarrier, prefixPort, 1)) || keep(strings.Replace(name, prefixVxlan, prefixBridge, 1)) {
			continue
		}
		errs = append(errs, l.remove(name))
	}
	return errors.Join(errs...)
}

// remove removes an interface of N, where it is there.
func (l *Links) remove(name string) error {
	return l.conn.do(deleteLink(name))
}

// Detach removes an endpoint's interfaces, where they are still there: the end of a
// container's network namespace removes them as well. It takes the kernel 10 ms and more.
func (l *Links) Detach(e *store.Endpoint) error { return l.remove(Port(e)) }

// Silence makes the bridge forget what lies behind an endpoint's port, whose frames the
// firewall no longer lets in: until the interfaces are removed, which takes the kernel
// so much longer, nothing is sent to them that is for the address's next holder.
func (l *Links) Silence(e *store.Endpoint) error {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_SLAVE_KIND, nl.NonZeroTerminated("bridge"))
	info.AddRtAttr(nl.IFLA_INFO_SLAVE_DATA, nil).AddRtAttr(nl.IFLA_BRPORT_FLUSH, nil)
	err := l.conn.do(changeLink(Port(e), fmt.Sprintf("detaching from network %q", e.Network), info))
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// Forget removes a network's interfaces.
func (l *Links) Forget(n *store.Network) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.Driver == "macvlan" {
		return l.leaveParent(n)
	}
	delete(l.wires, n.ID)
	delete(l.tunnels, n.ID)
	if l.current[n.Name] == Bridge(n) {
		delete(l.current, n.Name)
	}
	return l.conn.do(deleteLink(Uplink(n)), deleteLink(Bridge(n)))
}
