package helper

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/skiff-containers/skiff/netns/client"
	"github.com/skiff-containers/skiff/netns/helper/driver"
	"github.com/skiff-containers/skiff/netns/helper/firewall"
	"github.com/skiff-containers/skiff/netns/helper/link"
	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"github.com/skiff-containers/skiff/wire"
)

// attachment is a container for as long as its shim's conversation lasts.
type attachment struct {
	id     string
	dir    string
	number uint64       // the conversation's
	space  *space.Space // the container's

	member  atomic.Pointer[member.Member]
	pending atomic.Int64

	mu      sync.Mutex // held while it changes
	over    bool
	program *driver.Running // what connects it instead of our networks
}

// serveAttach connects a container and answers.
func (h *helper) serveAttach(c *wire.Conn, number uint64, body []byte, files []*os.File) (*attachment, error) {
	defer wire.CloseAll(files)
	asked, err := wire.Decode[client.Attach](body)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 || !store.ValidName(asked.Container) {
		return nil, errors.New("attaching a container: no namespace or no id came")
	}
	a := &attachment{id: asked.Container, dir: filepath.Join(h.store.Root, "containers", asked.Container), number: number}
	if a.space, err = space.Open(files[0]); err != nil {
		return nil, err
	}
	h.graves.wait()
	if !h.take(a) {
		a.space.Close()
		return nil, errTakenOver
	}
	if err := h.connect(a, files[1:]); err != nil {
		h.detach(a)
		return nil, err
	}
	sockets, err := h.ports.Privileged(a.id)
	if err != nil {
		h.logf("keeping the ports of %.12s: %v", a.id, err)
	}
	defer wire.CloseAll(sockets)
	answer := append([]*os.File{h.space.File()}, sockets[:min(len(sockets), client.MaxSockets)]...)
	if err := c.Send(client.KindAttached, nil, answer...); err != nil {
		h.detach(a)
		return nil, err
	}
	return a, nil
}

// take makes a the attachment of its container. One that is just being taken down
// is waited for; an earlier one loses it. False where a is the earlier one: what a shim
// asked before it was killed may be read after what the next one asks.
func (h *helper) take(a *attachment) bool {
	for {
		h.mu.Lock()
		gone := h.leaving[a.id]
		if gone == nil {
			break
		}
		h.mu.Unlock()
		<-gone
	}
	before := h.attached[a.id]
	if before != nil && before.number > a.number {
		h.mu.Unlock()
		return false
	}
	h.attached[a.id] = a
	h.mu.Unlock()
	if before != nil {
		before.mu.Lock()
		before.over = true
		before.stopProgram()
		before.space.Close()
		before.mu.Unlock()
	}
	return true
}

// errTakenOver: another conversation has the container, or none has it any longer.
var errTakenOver = errors.New("attaching a container: its shim has attached it anew")

// connect makes true what the container's network.json says.
func (h *helper) connect(a *attachment, sockets []*os.File) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return errTakenOver
	}
	m, err := h.read(a)
	if err != nil {
		return err
	}
	if m.Attachment.Driver != "" {
		return h.runProgram(a, m)
	}
	for _, n := range m.Networks {
		if err := h.ensureNetwork(n); err != nil {
			return err
		}
	}
	before := a.member.Swap(m) // from here on detach has something to undo
	if before == nil && h.tookOver {
		if err := h.links.Prune(a.space, m); err != nil {
			return err
		}
	}
	if err := h.admit(m); err != nil {
		return err
	}
	if err := h.links.Attach(a.space, m); err != nil {
		return err
	}
	h.directory.Put(m)
	h.arrived(a.id)
	if before != nil {
		h.drop(before, m)
	}
	bound, err := store.ReadBound(a.dir)
	if err != nil {
		return err
	}
	if bound, err = h.ports.Publish(m, m.Attachment.Ports, bound, sockets); err != nil {
		return err
	}
	return store.WriteBound(a.dir, bound)
}

// read makes a member of what the files say.
func (h *helper) read(a *attachment) (*member.Member, error) {
	attachment, err := store.ReadAttachment(a.dir)
	if err != nil {
		return nil, err
	}
	if attachment == nil {
		return nil, fmt.Errorf("attaching container %.12s: it has no networks", a.id)
	}
	m := &member.Member{Attachment: attachment, Networks: map[string]*store.Network{}, Pending: &a.pending}
	for _, e := range attachment.Endpoints {
		n, err := h.store.Network(e.Network)
		if err != nil {
			return nil, fmt.Errorf("attaching container %.12s: %w", a.id, err)
		}
		if n.ID != e.NetworkID {
			return nil, &userns.HostError{What: fmt.Sprintf("attaching container %.12s: network %q was removed and made anew", a.id, n.Name), Hint: "skiff restart gives it an address in the new one"}
		}
		for _, p := range []netip.Prefix{e.IPv4, e.IPv6} {
			if p.IsValid() && h.store.Holder(n.Name, p.Addr()) != a.id {
				return nil, fmt.Errorf("attaching container %.12s: its address %s was given to another one", a.id, p.Addr())
			}
		}
		m.Networks[n.Name] = n
	}
	return m, nil
}

// admit lets the container's ports send, each from its own addresses.
func (h *helper) admit(m *member.Member) error {
	for i := range m.Attachment.Endpoints {
		e := &m.Attachment.Endpoints[i]
		mac, err := net.ParseMAC(e.MAC)
		if err != nil {
			return fmt.Errorf("attaching to network %q: %w", e.Network, err)
		}
		source := firewall.Source{MAC: mac}
		for _, p := range []netip.Prefix{e.IPv4, e.IPv6} {
			if p.IsValid() {
				source.Addresses = append(source.Addresses, p.Addr())
			}
		}
		if err := h.firewall.Admit(link.Port(e), source); err != nil {
			return fmt.Errorf("attaching to network %q: %w", e.Network, err)
		}
	}
	return nil
}

// drop takes away the endpoints that a container has no longer.
func (h *helper) drop(before, now *member.Member) {
	for i := range before.Attachment.Endpoints {
		e := &before.Attachment.Endpoints[i]
		if !has(now, e.ID) {
			h.part(e)
			h.disconnect(e)
		}
	}
}

func has(m *member.Member, endpoint string) bool {
	for _, e := range m.Attachment.Endpoints {
		if e.ID == endpoint {
			return true
		}
	}
	return false
}

// part ends what goes on between an endpoint's addresses and the world. It is done
// before anybody is told that the container has left: the addresses may be another's then.
func (h *helper) part(e *store.Endpoint) {
	for _, p := range []netip.Prefix{e.IPv4, e.IPv6} {
		if p.IsValid() {
			h.way.Leave(p.Addr())
		}
	}
}

func (h *helper) disconnect(e *store.Endpoint) {
	if err := h.firewall.Withdraw(link.Port(e)); err != nil {
		h.logf("withdrawing a port of network %q: %v", e.Network, err)
	}
	if err := h.links.Detach(e); err != nil {
		h.logf("detaching from network %q: %v", e.Network, err)
	}
}

// silence shuts the ports of a container that has ended. Its interfaces go with its
// network namespace, see [graves].
func (h *helper) silence(m *member.Member) {
	for i := range m.Attachment.Endpoints {
		e := &m.Attachment.Endpoints[i]
		if n := m.Networks[e.Network]; n == nil || n.Driver == "macvlan" {
			h.disconnect(e)
			continue
		}
		if err := h.firewall.Withdraw(link.Port(e)); err != nil {
			h.logf("withdrawing a port of network %q: %v", e.Network, err)
		}
		if err := h.links.Silence(e); err != nil {
			h.logf("detaching from network %q: %v", e.Network, err)
		}
	}
}

// clearRemains removes the interfaces of a container that has ended, where its network
// namespace has not taken them along. One that is attached again keeps its own.
func (h *helper) clearRemains(id string, m *member.Member) {
	if m == nil {
		return
	}
	h.mu.Lock()
	again := h.attached[id]
	h.mu.Unlock()
	for i := range m.Attachment.Endpoints {
		e := &m.Attachment.Endpoints[i]
		if again != nil {
			if now := again.member.Load(); now == nil || has(now, e.ID) {
				continue
			}
		}
		if err := h.links.Detach(e); err != nil {
			h.logf("detaching from network %q: %v", e.Network, err)
		}
	}
}

// detach ends an attachment, nil or ended already included: names and ports are gone
// when it returns, the interfaces soon after.
func (h *helper) detach(a *attachment) {
	if a == nil {
		return
	}
	h.mu.Lock()
	mine := h.attached[a.id] == a
	var gone chan struct{}
	if mine {
		delete(h.attached, a.id)
		gone = make(chan struct{})
		h.leaving[a.id] = gone
	}
	h.mu.Unlock()
	if !mine {
		return // ended, or another conversation has the container now
	}
	a.mu.Lock()
	a.over = true
	m := a.member.Load()
	h.directory.Remove(a.id)
	h.ports.Withdraw(a.id)
	a.stopProgram()
	a.mu.Unlock()
	if m != nil {
		for i := range m.Attachment.Endpoints {
			h.part(&m.Attachment.Endpoints[i])
		}
	}
	go func() {
		if m != nil {
			h.silence(m)
		}
		h.udp.Forget(a.id)
		h.icmp.Forget(a.id)
		h.graves.add(a.space, func() { h.clearRemains(a.id, m) })
		a.space.Close()
		h.mu.Lock()
		delete(h.leaving, a.id)
		h.mu.Unlock()
		close(gone)
	}()
}
