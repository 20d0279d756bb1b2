// Package firewall holds the nftables rules of N, the network namespace of a user's
// networks: who may send what where, and the admission to the kernel path.
//
//	bridge prerouting   each port sends only from its container's MAC and addresses
//	inet   prerouting   SYNs that the helper wrote into the TUN go to its listener,
//	                    packets of transparent sockets' connections to those sockets
//	inet   input        N itself: name server, echo, answers to its own connections
//	inet   forward      bridge to TUN and back, never bridge to bridge unless both allow it
//
// There is no connection tracking and no address translation: a rule decides by
// interface, address and socket. What changes while containers come and go is in
// named sets; the rules stay.
package firewall

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/nftables"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"golang.org/x/sys/unix"
)

// Config is what the rules need to know of the rest of the helper.
type Config struct {
	// TUN is the interface that leads to the world, as the kernel calls it.
	TUN string
	// Carrier is the interface by which the datagrams of overlay networks come in;
	// "": there is none. Only the helper writes there.
	Carrier string
	// TProxyPort is where the helper's transparent listeners for IPv4 and IPv6 are in
	// N. 0: there is no kernel path for TCP, and packets come back out of the TUN.
	TProxyPort uint16
	// Mark is put on packets that belong to a socket of N though their address does
	// not: a policy route delivers them locally. 0 means 1.
	Mark uint32
}

// Firewall is the rules of one N. Its methods may be called by several goroutines.
type Firewall struct {
	config Config

	mu       sync.Mutex
	conn     *nftables.Conn
	inet     *nftables.Table
	bridge   *nftables.Table
	sets     sets
	elements map[string]map[element]bool // what is in the kernel's sets, by interface
	weak     error
	opaque   error
}

// tableName is the name of both tables.
const tableName = "skiff"

// Setup makes the rules of a namespace what they should be, in one transaction that
// happens wholly or not at all. What an earlier helper let in stays let in, so that
// connections between containers go on, until [Firewall.Sweep].
func Setup(n *space.Space, config Config) (*Firewall, error) {
	if config.Mark == 0 {
		config.Mark = 1
	}
	f := &Firewall{config: config, elements: map[string]map[element]bool{}}
	// The socket belongs to the namespace of the thread that makes it.
	err := n.Do(func() (err error) {
		f.conn, err = nftables.New(nftables.AsLasting())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reaching nftables: %w", err)
	}
	if err := f.install(); err != nil {
		f.Close()
		return nil, fmt.Errorf("installing firewall rules: %w", err)
	}
	if err := f.load(); err != nil {
		f.Close()
		return nil, fmt.Errorf("reading firewall sets: %w", err)
	}
	return f, nil
}

// Close lets go of the connection to the kernel; the rules stay.
func (f *Firewall) Close() { f.conn.CloseLasting() }

// Weak tells why containers' source addresses are not checked on this kernel; nil
// where they are.
func (f *Firewall) Weak() error { return f.weak }

// Opaque tells why packets cannot be matched with sockets on this kernel, so that no
// transparent socket gets an answer; nil where they can.
func (f *Firewall) Opaque() error { return f.opaque }

// install tries the whole set of rules, then without what this kernel may lack.
func (f *Firewall) install() error {
	err := f.installInet(true)
	if f.config.TProxyPort == 0 && missing(err) {
		f.opaque = err
		err = f.installInet(false)
	}
	if err != nil {
		return err
	}
	err = f.transaction(f.bridgeTable)
	if missing(err) {
		f.weak, f.bridge = err, nil
		return nil
	}
	return err
}

func (f *Firewall) installInet(sockets bool) error {
	return f.transaction(func(fresh bool) { f.inetTable(fresh, sockets) })
}

// transaction sends what add has put together. Where a table of another skiff's
// making is in the way, it is replaced.
func (f *Firewall) transaction(add func(fresh bool)) error {
	add(false)
	err := f.conn.Flush()
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EINVAL) {
		add(true)
		err = f.conn.Flush()
	}
	return err
}

// missing says that the kernel does not know a table's family or an expression.
func missing(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EPROTONOSUPPORT)
}

// startTable begins a table and its chains, which are emptied: the rules are new, the
// sets stay as they are. A fresh one is without the old sets too.
func (f *Firewall) startTable(family nftables.TableFamily, fresh bool) *nftables.Table {
	t := f.conn.AddTable(&nftables.Table{Family: family, Name: tableName})
	if fresh {
		f.conn.DelTable(t)
		f.conn.AddTable(t)
	}
	return t
}

func (f *Firewall) startChain(t *nftables.Table, name string, hook *nftables.ChainHook, priority *nftables.ChainPriority, policy nftables.ChainPolicy) *nftables.Chain {
	c := f.conn.AddChain(&nftables.Chain{
		Name: name, Table: t, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: priority, Policy: &policy,
	})
	f.conn.FlushChain(c)
	return c
}

func (f *Firewall) add(c *nftables.Chain, parts ...match) {
	r := &nftables.Rule{Table: c.Table, Chain: c}
	for _, p := range parts {
		r.Exprs = append(r.Exprs, p...)
	}
	f.conn.AddRule(r)
}
