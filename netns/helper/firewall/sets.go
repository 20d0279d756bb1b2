package firewall

import (
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// sets are what changes while containers and networks come and go. The first part of
// each key is the name of an interface, whose elements come and go together.
type sets struct {
	bridges   *nftables.Set // interface: a network's bridge
	outbound  *nftables.Set // interface: of a network that may reach the world
	open      *nftables.Set // interface: of a network that talks to others that are open
	within    *nftables.Set // interface . interface: the same twice, where members may talk
	gateways4 *nftables.Set // interface . N's address there
	gateways6 *nftables.Set

	sources4 *nftables.Set // port . MAC . address that it may send from
	sources6 *nftables.Set
	trunks   *nftables.Set // port: anything may come in by it
}

// element is one of a set's.
type element struct{ set, key string }

func (f *Firewall) inetSets() {
	s := &f.sets
	s.bridges = f.addSet(f.inet, "bridges", nftables.TypeIFName)
	s.outbound = f.addSet(f.inet, "outbound", nftables.TypeIFName)
	s.open = f.addSet(f.inet, "open", nftables.TypeIFName)
	s.within = f.addSet(f.inet, "within", nftables.TypeIFName, nftables.TypeIFName)
	s.gateways4 = f.addSet(f.inet, "gateways4", nftables.TypeIFName, nftables.TypeIPAddr)
	s.gateways6 = f.addSet(f.inet, "gateways6", nftables.TypeIFName, nftables.TypeIP6Addr)
}

func (f *Firewall) bridgeSets() {
	s := &f.sets
	s.sources4 = f.addSet(f.bridge, "sources4", nftables.TypeIFName, nftables.TypeEtherAddr, nftables.TypeIPAddr)
	s.sources6 = f.addSet(f.bridge, "sources6", nftables.TypeIFName, nftables.TypeEtherAddr, nftables.TypeIP6Addr)
	s.trunks = f.addSet(f.bridge, "trunks", nftables.TypeIFName)
}

// addSet makes a set where there is none.
func (f *Firewall) addSet(t *nftables.Table, name string, parts ...nftables.SetDatatype) *nftables.Set {
	s := &nftables.Set{Table: t, Name: name, KeyType: parts[0], KeyByteOrder: binaryutil.NativeEndian}
	if len(parts) > 1 {
		s.KeyType, s.Concatenation = nftables.MustConcatSetType(parts...), true
	}
	if err := f.conn.AddSet(s, nil); err != nil {
		panic(fmt.Sprintf("set %q: %v", name, err)) // a mistake in this file
	}
	return s
}

func (f *Firewall) all() []*nftables.Set {
	s := f.sets
	all := []*nftables.Set{s.bridges, s.outbound, s.open, s.within, s.gateways4, s.gateways6}
	if f.bridge != nil {
		all = append(all, s.sources4, s.sources6, s.trunks)
	}
	return all
}

// load learns what an earlier helper left.
func (f *Firewall) load() error {
	for _, s := range f.all() {
		found, err := f.conn.GetSetElements(s)
		if err != nil {
			return fmt.Errorf("set %q: %w", s.Name, err)
		}
		for _, e := range found {
			f.note(element{s.Name, string(e.Key)})
		}
	}
	return nil
}

func (f *Firewall) note(e element) {
	name := e.owner()
	if f.elements[name] == nil {
		f.elements[name] = map[element]bool{}
	}
	f.elements[name][e] = true
}

// owner is the interface that the element is about.
func (e element) owner() string {
	return unix.ByteSliceToString([]byte(e.key[:min(len(e.key), unix.IFNAMSIZ)]))
}

// replaceLocked makes an interface's elements those wanted, in one transaction.
func (f *Firewall) replaceLocked(name string, want []element) error {
	have := f.elements[name]
	wanted := make(map[element]bool, len(want))
	var more, less []element
	for _, e := range want {
		if !have[e] && !wanted[e] {
			more = append(more, e)
		}
		wanted[e] = true
	}
	for e := range have {
		if !wanted[e] {
			less = append(less, e)
		}
	}
	if len(more)+len(less) == 0 {
		return nil
	}
	for _, s := range f.all() {
		if change := of(s, more); len(change) > 0 {
			if err := f.conn.SetAddElements(s, change); err != nil {
				return err
			}
		}
		if change := of(s, less); len(change) > 0 {
			if err := f.conn.SetDeleteElements(s, change); err != nil {
				return err
			}
		}
	}
	if err := f.conn.Flush(); err != nil {
		return err
	}
	if f.elements[name] = wanted; len(wanted) == 0 {
		delete(f.elements, name)
	}
	return nil
}

func of(s *nftables.Set, elements []element) []nftables.SetElement {
	var its []nftables.SetElement
	for _, e := range elements {
		if e.set == s.Name {
			its = append(its, nftables.SetElement{Key: []byte(e.key)})
		}
	}
	return its
}

// entry is an element of a set, its key the parts side by side, each filled up to
// whole registers of 4 bytes.
func entry(s *nftables.Set, name string, parts ...[]byte) element {
	key := paddedName(name)
	for _, p := range parts {
		key = append(key, p...)
		key = append(key, make([]byte, (4-len(p)%4)%4)...)
	}
	return element{s.Name, string(key)}
}

// Sweep takes away what is there for interfaces that nobody needs any more.
func (f *Firewall) Sweep(keep func(name string) bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.elements {
		if keep(name) {
			continue
		}
		if err := f.replaceLocked(name, nil); err != nil {
			return fmt.Errorf("removing firewall rules of %q: %w", name, err)
		}
	}
	return nil
}

// Interfaces lists those that the firewall knows something of, by name.
func (f *Firewall) Interfaces() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for name := range f.elements {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// toGateway4: the packet is for N's own IPv4 address in the network that it came from.
func (f *Firewall) toGateway4() match {
	return append(family(unix.NFPROTO_IPV4), &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: regKey}, network(16, 4, regKey2), in(f.sets.gateways4, regKey))
}

func (f *Firewall) toGateway6() match {
	return append(family(unix.NFPROTO_IPV6), &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: regKey}, network(24, 16, regKey2), in(f.sets.gateways6, regKey))
}

// fromToIn: the interfaces that it came in and goes out by are a pair of the set.
func fromToIn(s *nftables.Set) match {
	return match{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: regKey}, &expr.Meta{Key: expr.MetaKeyOIFNAME, Register: regKey2}, in(s, regKey)}
}
