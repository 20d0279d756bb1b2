package store

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// Attachment is network.json in a container's folder: the container's place in its
// networks. The starter writes it before each start; connect and disconnect replace
// it, under the container's lock. A container with none or the host's network has none.
type Attachment struct {
	Container string // id
	Name      string
	Hostname  string
	Driver    string `json:",omitempty"` // "" for skiff's own networks; "pasta" or "slirp4netns" for another program's
	Endpoints []Endpoint
	Ports     []Port            `json:",omitempty"` // as asked for
	DNS       DNS               // of this container alone
	Options   map[string]string `json:",omitempty"` // of Driver
	// HostLoopback lets host.docker.internal lead to the host's loopback services.
	HostLoopback bool `json:",omitempty"`
}

// Endpoint is a container's place in one network.
type Endpoint struct {
	Network   string // name
	NetworkID string
	ID        string            // 64 hexadecimal digits
	Interface string            // inside the container: "eth0"
	MAC       string            // "02:42:0a:5a:00:02"
	IPv4      netip.Prefix      // address with the subnet's length; zero: none
	IPv6      netip.Prefix      // likewise
	Gateway4  netip.Addr        // zero in an internal network: no way out
	Gateway6  netip.Addr        // likewise
	Aliases   []string          `json:",omitempty"` // further names in this network, beside name, hostname and short id
	Links     map[string]string `json:",omitempty"` // names for this container alone → name or id of another one (--link)
	Priority  int               `json:",omitempty"` // the highest one's gateway is the default route
	Static    bool              `json:",omitempty"` // its address was asked for
	Options   map[string]string `json:",omitempty"` // driver options of the endpoint
}

// DNS is what a container was told about names beyond those of its networks.
type DNS struct {
	Servers []string `json:",omitempty"` // addresses, with a zone perhaps; empty: the host's
	Search  []string `json:",omitempty"`
	Options []string `json:",omitempty"`
}

// Port is one published port.
type Port struct {
	HostIP        string // "", "0.0.0.0", "127.0.0.1", "::"; empty: both families
	HostPort      uint16 // 0: any free one
	HostPortEnd   uint16 `json:",omitempty"` // with HostPort the first: any free one of this range
	ContainerPort uint16
	Protocol      string // "tcp" or "udp"
}

const (
	attachmentFile = "network.json"
	boundFile      = "ports.json" // []Port that the network helper listens on
)

// ReadAttachment reads network.json of a container's folder; nil where there is none.
func ReadAttachment(dir string) (*Attachment, error) {
	var a Attachment
	err := ReadJSON(filepath.Join(dir, attachmentFile), &a)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &a, nil
}

// WriteAttachment replaces network.json.
func WriteAttachment(dir string, a *Attachment, d Durability) error {
	return WriteJSON(filepath.Join(dir, attachmentFile), a, d)
}

// WriteBound notes which ports the network helper listens on for a container, with
// the real host ports; without any the note is removed.
func WriteBound(dir string, ports []Port) error {
	if len(ports) == 0 {
		err := os.Remove(filepath.Join(dir, boundFile))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return WriteJSON(filepath.Join(dir, boundFile), ports, Fleeting)
}

// ReadBound reads what WriteBound noted: meaningful while the container runs, and
// the wish for the same ports when its helper is another one.
func ReadBound(dir string) ([]Port, error) {
	var ports []Port
	err := ReadJSON(filepath.Join(dir, boundFile), &ports)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return ports, err
}

// ReleaseAll gives back the addresses of a container that has ended, but for those
// that it was created with.
func (s *Store) ReleaseAll(dir, container string) {
	a, err := ReadAttachment(dir)
	if err != nil || a == nil {
		return
	}
	for _, e := range a.Endpoints {
		s.Release(e.Network, e.IPv4.Addr(), container)
		s.Release(e.Network, e.IPv6.Addr(), container)
	}
	WriteBound(dir, nil)
}
