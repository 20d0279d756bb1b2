package dns

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/skiff-containers/skiff/netns/helper/member"
)

// upstream is a server that is asked.
type upstream struct {
	addr   netip.AddrPort
	inside bool // it is in a network of the asker's, and reached from N
}

// route says which servers are asked for m, and how. Without any, nothing leaves:
// internal tells whether that is so because m's networks are.
func (s *Server) route(m *member.Member) (servers []upstream, how manner, internal bool) {
	internal = isInternal(m)
	own := m.Attachment.DNS.Servers
	if len(own) == 0 {
		if internal {
			return nil, how, true
		}
		var addrs []netip.Addr
		addrs, how = s.resolv.get()
		for _, addr := range addrs {
			servers = append(servers, upstream{addr: netip.AddrPortFrom(numericZone(addr), port)})
		}
	}
	for _, text := range own {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.IsLoopback() || isGateway(m, addr) || len(servers) == maxServers {
			continue // what is at a loopback address is in the container, where we are not
		}
		switch addr = addr.Unmap(); {
		case inNetworks(m, addr):
			servers = append(servers, upstream{netip.AddrPortFrom(addr, port), true})
		case internal:
		case addr == member.HostAddress:
			if to, _, err := s.directory.Target(anAddress(m), netip.AddrPortFrom(addr, port)); err == nil {
				servers = append(servers, upstream{addr: to})
			}
		default:
			servers = append(servers, upstream{addr: netip.AddrPortFrom(numericZone(addr), port)})
		}
	}
	if how.rotate && len(servers) > 1 {
		k := rand.IntN(len(servers))
		servers = append(servers[k:len(servers):len(servers)], servers[:k]...)
	}
	how.complete(len(servers))
	return s.health.order(servers), how, internal
}

// complete fills in what nobody has said. With one server there is nothing to go on
// to, so it has the time that resolvers give it.
func (how *manner) complete(servers int) {
	if how.timeout == 0 {
		how.timeout = maxTimeout
		if servers > 1 {
			how.timeout = 2 * time.Second
		}
	}
	if how.attempts == 0 {
		how.attempts = 2
	}
}

// isInternal tells whether none of m's networks leads out.
func isInternal(m *member.Member) bool {
	for _, e := range m.Attachment.Endpoints {
		if n := m.Networks[e.Network]; n == nil || !n.Internal {
			return false
		}
	}
	return true
}

// isGateway tells whether an address is one that we answer at ourselves.
func isGateway(m *member.Member, addr netip.Addr) bool {
	for _, n := range m.Networks {
		for _, s := range n.Subnets {
			if s.Gateway == addr {
				return true
			}
		}
	}
	return false
}

// anAddress is one of m's that leads out.
func anAddress(m *member.Member) netip.Addr {
	for _, e := range m.Attachment.Endpoints {
		if n := m.Networks[e.Network]; n != nil && n.Internal {
			continue
		}
		if e.IPv4.IsValid() {
			return e.IPv4.Addr()
		}
		if e.IPv6.IsValid() {
			return e.IPv6.Addr()
		}
	}
	return netip.Addr{}
}

// numericZone puts the number of an interface in the place of its name: package net
// remembers numbers for a minute, and an interface may be another one by then.
func numericZone(addr netip.Addr) netip.Addr {
	zone := addr.Zone()
	if zone == "" {
		return addr
	}
	if link, err := net.InterfaceByName(zone); err == nil {
		return addr.WithZone(strconv.Itoa(link.Index))
	}
	return addr
}

// health remembers servers that did not answer in time. They are asked last for a
// while: a first server that is gone would otherwise hold up everything.
type health struct {
	mu   sync.Mutex
	late map[netip.AddrPort]time.Time
}

const (
	lateFor = 10 * time.Second
	maxLate = 64
)

func (h *health) mark(server netip.AddrPort, late bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !late {
		delete(h.late, server)
		return
	}
	if h.late == nil || len(h.late) >= maxLate {
		h.late = map[netip.AddrPort]time.Time{}
	}
	h.late[server] = time.Now()
}

// order puts the late ones behind the others.
func (h *health) order(servers []upstream) []upstream {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.late) == 0 || len(servers) < 2 {
		return servers
	}
	var well, late []upstream
	for _, u := range servers {
		if at, ok := h.late[u.addr]; ok && time.Since(at) < lateFor {
			late = append(late, u)
		} else {
			well = append(well, u)
		}
	}
	return append(well, late...)
}
