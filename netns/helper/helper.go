package helper

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skiff-containers/skiff/netns/client"
	"github.com/skiff-containers/skiff/netns/helper/dns"
	"github.com/skiff-containers/skiff/netns/helper/firewall"
	"github.com/skiff-containers/skiff/netns/helper/icmp"
	"github.com/skiff-containers/skiff/netns/helper/link"
	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/netstack"
	"github.com/skiff-containers/skiff/netns/helper/overlay"
	"github.com/skiff-containers/skiff/netns/helper/ports"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/netns/helper/tcp"
	"github.com/skiff-containers/skiff/netns/helper/tun"
	"github.com/skiff-containers/skiff/netns/helper/udp"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// helper is the state of the stage "skiff-network".
type helper struct {
	store  *store.Store
	folder *os.File // the store's folder "helper"
	alive  *os.File // locked
	held   *os.File // its end ends the holder
	holder *userns.Process
	space  *space.Space // N

	tookOver bool // N was there before us
	swept    sync.Once

	listener *os.File
	busy     busy

	conversations atomic.Uint64 // that there have been

	directory member.Directory
	device    *tun.Device
	way       way // out for TCP
	udp       *udp.Path
	icmp      *icmp.Path
	firewall  *firewall.Firewall
	links     *link.Links
	dns       *dns.Server
	ports     *ports.Publisher
	why       string // the kernel path cannot be had, or was not wanted

	mu       sync.Mutex
	attached map[string]*attachment // by container
	leaving  map[string]chan struct{}
	expected map[string]bool // containers that an earlier helper may have had and that are not attached yet
	complete chan struct{}   // closed when there are none, or have been given up

	networks sync.Mutex // held while networks are made and removed
	known    map[string]*network
	overlay  *overlay.Relay // nil until there is a network for it

	graves graves

	logMu  sync.Mutex
	logged map[string]time.Time
}

// way is how TCP gets out: the kernel path, or netstack.
type way interface {
	Serve(tun.Handlers) error // the device, until that is closed
	Handle(*tun.Packet)
	Leave(addr netip.Addr) // ends the connections of who had it
	Close()
}

// furnish makes all that is there before the first container.
func (h *helper) furnish() (err error) {
	h.attached, h.leaving, h.known = map[string]*attachment{}, map[string]chan struct{}{}, map[string]*network{}
	if h.device, err = tun.Open(h.space, tun.MaxMTU); err != nil {
		return err
	}
	port, err := h.openWay()
	if err != nil {
		return err
	}
	if h.firewall, err = firewall.Setup(h.space, firewall.Config{TUN: tun.Name, Carrier: overlay.Device, TProxyPort: port}); err != nil {
		return err
	}
	for _, weakness := range []error{h.firewall.Opaque(), h.firewall.Weak()} {
		if weakness != nil {
			h.logf("%v", weakness)
		}
	}
	if h.links, err = link.New(h.space); err != nil {
		return err
	}
	if h.udp, err = udp.Start(udp.Config{Device: h.device, Directory: &h.directory, MTU: link.MTU}); err != nil {
		return err
	}
	if h.icmp, err = icmp.Start(icmp.Config{Device: h.device, Directory: &h.directory}); err != nil {
		return err
	}
	if h.ports, err = ports.Start(ports.Config{N: h.space, Directory: &h.directory}); err != nil {
		return err
	}
	if err := icmp.Probe(); err != nil {
		f := failure(err)
		h.logf("%s (mend it with: %s)", f.Text, f.Hint)
	}
	h.expectMembers()
	h.dns = dns.Start(dns.Config{N: h.space, Directory: &h.directory, ResolvConf: "/etc/resolv.conf", Ready: h.complete})
	go func() {
		err := h.way.Serve(tun.Handlers{TCP: h.way.Handle, UDP: h.udp.Handle, UDPs: h.udp.HandleAll, ICMP: h.icmp.Handle})
		if err != nil {
			// Without it nothing gets out: the shims start another helper.
			h.logf("reading packets: %v", err)
			os.Exit(1)
		}
	}()
	return nil
}

// openWay chooses how TCP gets out, and returns the port of the kernel path's listener.
func (h *helper) openWay() (port uint16, err error) {
	wanted := os.Getenv(client.PathVariable)
	switch wanted {
	case "", "kernel":
		err := h.probeKernelPath()
		if err == nil {
			path, err := tcp.Start(tcp.Config{N: h.space, Device: h.device, Directory: &h.directory})
			if err != nil {
				return 0, err
			}
			h.way = path
			return path.ListenPort(), nil
		}
		if wanted != "" {
			return 0, err
		}
		h.why = err.Error()
	case "netstack":
		h.why = client.PathVariable + " says so"
	default:
		return 0, fmt.Errorf("%s is %q: it may be \"kernel\" or \"netstack\"", client.PathVariable, wanted)
	}
	path, err := netstack.Start(netstack.Config{Device: h.device, Directory: &h.directory})
	if err != nil {
		return 0, err
	}
	h.way = path
	return 0, nil
}

// probedName is the file that says after which boot the kernel path was found good.
const probedName = "kernel-path"

// probeKernelPath is tcp.Probe, once per boot: it takes 10 ms, as the kernel waits for
// all processors to have seen the rules go.
func (h *helper) probeKernelPath() error {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return fmt.Errorf("reading the boot's id: %w", err)
	}
	path := filepath.Join(h.folder.Name(), probedName)
	if known, err := os.ReadFile(path); err == nil && bytes.Equal(known, boot) {
		return nil
	}
	if err := tcp.Probe(h.space); err != nil {
		return err
	}
	return store.WriteFile(path, boot, store.Fleeting)
}

// close ends what would otherwise end with the process in its own time.
func (h *helper) close() {
	h.dns.Close()
	h.ports.Close()
	h.way.Close()
	h.udp.Close()
	h.icmp.Close()
	if h.overlay != nil {
		h.overlay.Close()
	}
	h.device.Close()
}
