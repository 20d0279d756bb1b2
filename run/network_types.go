package run

import (
	"time"

	"github.com/skiff-containers/skiff/netns"
)

// NetworkSummary is one row of `network ls`.
type NetworkSummary struct {
	ID         string
	Name       string
	Driver     string // "bridge", "macvlan", "overlay", and "host" and "null" of the two that are no networks
	Scope      string // "local"
	EnableIPv4 bool
	EnableIPv6 bool
	Internal   bool
	Created    time.Time
	Labels     map[string]string
	Predefined bool // bridge, host and none, which cannot be removed
}

// NetworkInspect is what `network inspect` prints: Docker's Network object.
type NetworkInspect struct {
	Name       string
	ID         string `json:"Id"`
	Created    string // RFC 3339 with nanoseconds
	Scope      string
	Driver     string
	EnableIPv4 bool
	EnableIPv6 bool
	DNSEnabled bool // podman's: members find each other by name
	IPAM       NetworkIPAM
	Internal   bool
	Attachable bool
	Ingress    bool
	ConfigFrom ConfigReference
	ConfigOnly bool
	Containers map[string]NetworkMember // by id
	Options    map[string]string
	Labels     map[string]string
}

// ConfigReference is Docker's pointer from a swarm's network to its config: empty here.
type ConfigReference struct{ Network string }

// NetworkIPAM says where a network's addresses come from.
type NetworkIPAM struct {
	Driver  string
	Options map[string]string
	Config  []NetworkPool
}

// NetworkPool is one subnet.
type NetworkPool struct {
	Subnet             string
	IPRange            string            `json:",omitempty"`
	Gateway            string            `json:",omitempty"`
	AuxiliaryAddresses map[string]string `json:"AuxiliaryAddresses,omitempty"`
}

// NetworkMember is a running container in a network.
type NetworkMember struct {
	Name        string
	EndpointID  string
	MacAddress  string
	IPv4Address string // with the subnet's length
	IPv6Address string
}

// NetworkCreateOptions are what `network create` asks.
type NetworkCreateOptions struct {
	netns.CreateOptions
	LabelSpecs []string // --label
	Ignore     bool     // one of that name that exists is no error
}

// NetworkConnectOptions are what `network connect` asks.
type NetworkConnectOptions struct {
	Network, Container string
	Place              netns.Options // addresses, aliases and links
	DriverOpts         []string
	Priority           int // the highest one's gateway is the default route
}
