package store

import "time"

// Record is record.json: what was asked for when a container was created. It does
// not change while the container exists. Field names in JSON are Docker's, so that
// inspect prints them as they are.
type Record struct {
	ID         string
	Name       string // without a leading slash
	Created    time.Time
	Image      ImageRef
	Driver     string   // storage driver of its root file system, as [Store.Driver] told when it was made
	Path       string   // the program, after image and options were joined
	Args       []string // its arguments
	Config     Config
	HostConfig HostConfig
	Networks   []EndpointConfig `json:",omitempty"` // in the order asked; the first is HostConfig.NetworkMode
}

// EndpointConfig is what was asked of a container's place in one network: Docker's
// EndpointSettings object, as far as it is asked and not told.
type EndpointConfig struct {
	Network    string            // name
	IPAMConfig *EndpointIPAM     `json:",omitempty"`
	Links      []string          `json:",omitempty"` // "container" or "container:alias"
	Aliases    []string          `json:",omitempty"`
	MacAddress string            `json:",omitempty"`
	DriverOpts map[string]string `json:",omitempty"`
	GwPriority int               `json:",omitempty"`
}

// EndpointIPAM are addresses that were asked for.
type EndpointIPAM struct {
	IPv4Address string `json:",omitempty"`
	IPv6Address string `json:",omitempty"`
}

// ImageRef says which image a container was made from.
type ImageRef struct {
	Reference string   // as the user wrote it
	ID        string   // digest of the image's config, "sha256:…"
	Manifest  string   // digest of its manifest
	Platform  string   // "linux/amd64"
	Layers    []string // diff ids, lowest first: what the overlay is stacked from
}

// Config is the portable part of what was asked, joined with the image's own
// config (Docker's Config object).
type Config struct {
	Hostname     string
	Domainname   string `json:",omitempty"`
	User         string
	AttachStdin  bool
	AttachStdout bool
	AttachStderr bool
	Tty          bool
	OpenStdin    bool
	StdinOnce    bool
	Env          []string
	Cmd          []string
	Image        string
	Volumes      map[string]struct{}
	WorkingDir   string
	Entrypoint   []string
	Labels       map[string]string
	StopSignal   string              `json:",omitempty"`
	StopTimeout  *int                `json:",omitempty"` // seconds; -1 waits without end
	ExposedPorts map[string]struct{} `json:",omitempty"`
}

// HostConfig is the part of what was asked that concerns this host (Docker's HostConfig object).
type HostConfig struct {
	AutoRemove      bool
	NetworkMode     string                   // "bridge", "none", "host", "container:<id>", "ns:<path>", "pasta", or a network's name
	PidMode         string                   // "" or "host"
	PortBindings    map[string][]PortBinding // by container port, "80/tcp"
	PublishAllPorts bool                     // each exposed port that PortBindings does not name, at any port
	Binds           []string                 // as -v gave them: source:target[:options]
	Mounts          []Mount                  // as --mount and -v gave them, parsed
	Tmpfs           map[string]string
	CapAdd          []string
	CapDrop         []string
	SecurityOpt     []string
	Privileged      bool
	ReadonlyRootfs  bool
	Ulimits         []Ulimit
	LogConfig       LogConfig
	Devices         []Device
	GroupAdd        []string
	ShmSize         int64 // bytes
	Init            bool
	ContainerIDFile string
	RestartPolicy   RestartPolicy
	DNS             []string          `json:"Dns"`
	DNSOptions      []string          `json:"DnsOptions"`
	DNSSearch       []string          `json:"DnsSearch"` // "." for none at all
	ExtraHosts      []string          // name:address, name:host-gateway
	Links           []string          `json:",omitempty"` // "container" or "container:alias", in the first network
	Sysctls         map[string]string `json:",omitempty"`
}

// PortBinding is where the host has a port of a container's.
type PortBinding struct {
	HostIp   string
	HostPort string // as asked "8080", "8000-8010" or "" for any; as it is, a number
}

// Mount is a file system put into the container.
type Mount struct {
	Type         string // "bind" or "tmpfs"
	Source       string `json:",omitempty"`
	Target       string
	ReadOnly     bool     `json:",omitempty"`
	Propagation  string   `json:",omitempty"` // "rprivate" and so on
	CreateSource bool     `json:",omitempty"` // -v makes a missing source, --mount does not
	NonRecursive bool     `json:",omitempty"`
	TmpfsSize    int64    `json:",omitempty"` // bytes
	TmpfsMode    uint32   `json:",omitempty"`
	Options      []string `json:",omitempty"` // further mount options of a tmpfs
}

// Ulimit is one resource limit, soft and hard.
type Ulimit struct {
	Name string // "nofile"
	Soft int64  // -1 is unlimited
	Hard int64
}

// LogConfig names the log driver ("json-file" or "none") and its options.
type LogConfig struct {
	Type   string
	Config map[string]string
}

// Device is a device of the host that the container may use.
type Device struct {
	PathOnHost        string
	PathInContainer   string
	CgroupPermissions string
}

// RestartPolicy is "no" until restarts come.
type RestartPolicy struct {
	Name              string
	MaximumRetryCount int
}

// Status is where a container stands in its life (Docker's words).
type Status string

const (
	Created  Status = "created"
	Running  Status = "running"
	Exited   Status = "exited"
	Removing Status = "removing"
)

// State is state.json: what became of a container. The shim writes it.
type State struct {
	Status     Status
	Shim       ProcessID
	Init       ProcessID
	StartedAt  time.Time
	FinishedAt time.Time
	ExitCode   int
	Error      string // why it could not start, or that its shim was killed
}
