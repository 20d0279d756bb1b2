package store

import "time"

// Record is record.json: what was asked for when a container was created. Only
// `rename` and `update` change it, under the container's lock. Field names in JSON
// are Docker's, so that inspect prints them as they are.
type Record struct {
	ID         string
	Name       string // without a leading slash
	Created    time.Time
	Image      ImageRef
	Rootfs     string   `json:",omitempty"` // a folder of the host's in place of an image (podman run --rootfs)
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
	Healthcheck  *Healthcheck        `json:",omitempty"`
	Timeout      uint                `json:",omitempty"` // seconds after which the container is stopped; 0 is never (podman run --timeout)
	Umask        string              `json:",omitempty"` // octal, of the first process and of exec; "" is 0022
	Timezone     string              `json:",omitempty"` // "local", or a name of tzdata
	SystemdMode  string              `json:",omitempty"` // "always", or "true" where the command is an init
	Secrets      []Secret            `json:",omitempty"`
}

// Healthcheck is how a container's health is asked for: Docker's HealthConfig
// object. Durations are in nanoseconds; zero takes the default (30 s, 30 s, 0 s, 5 s, 3).
type Healthcheck struct {
	Test          []string      `json:",omitempty"` // {"NONE"}, {"CMD", arg…} or {"CMD-SHELL", command}; empty inherits the image's
	Interval      time.Duration `json:",omitempty"`
	Timeout       time.Duration `json:",omitempty"`
	StartPeriod   time.Duration `json:",omitempty"`
	StartInterval time.Duration `json:",omitempty"`
	Retries       int           `json:",omitempty"`
	OnFailure     string        `json:",omitempty"` // "none", "kill", "restart" or "stop" (podman run --health-on-failure)
}

// Secret is a file of the host's that the container sees under /run/secrets, or as
// a variable of its environment.
type Secret struct {
	Source string // path on the host
	Target string // path in the container, or the variable's name
	Type   string // "mount" or "env"
	UID    uint32 `json:",omitempty"`
	GID    uint32 `json:",omitempty"`
	Mode   uint32 `json:",omitempty"`
}

// HostConfig is the part of what was asked that concerns this host (Docker's HostConfig object).
type HostConfig struct {
	AutoRemove      bool
	NetworkMode     string                   // "bridge", "none", "host", "container:<id>", "ns:<path>", "pasta", or a network's name
	PidMode         string                   // "", "host" or "container:<id>"
	PortBindings    map[string][]PortBinding // by container port, "80/tcp"
	PublishAllPorts bool                     // each exposed port that PortBindings does not name, at any port
	Binds           []string                 // as -v gave them: source:target[:options]
	Mounts          []Mount                  // those of Binds, parsed, then those of --mount and of --volumes-from
	VolumesFrom     []string                 // as given: name[:mode]; what came of them stands in Mounts and Tmpfs
	Tmpfs           map[string]string
	CapAdd          []string
	CapDrop         []string
	SecurityOpt     []string
	Privileged      bool
	ReadonlyRootfs  bool
	Ulimits         []Ulimit
	LogConfig       LogConfig
	Devices         []Device
	DeviceRequests  []DeviceRequest `json:",omitempty"` // what --gpus and CDI names asked for
	GroupAdd        []string
	ShmSize         int64 // bytes
	Init            bool
	ContainerIDFile string
	PidFile         string `json:",omitempty"` // absolute; gets the id of the first process (podman run --pidfile)
	RestartPolicy   RestartPolicy
	DNS             []string          `json:"Dns"`
	DNSOptions      []string          `json:"DnsOptions"`
	DNSSearch       []string          `json:"DnsSearch"` // "." for none at all
	ExtraHosts      []string          // name:address, name:host-gateway
	Links           []string          `json:",omitempty"` // "container" or "container:alias", in the first network
	Sysctls         map[string]string `json:",omitempty"`
	IpcMode         string            // "private" (""), "host", "none", "shareable" or "container:<id>"
	UTSMode         string            // "" or "host"
	UsernsMode      string            // "" and "host" (the ids of U), "keep-id[:uid=,gid=,size=]", "nomap", "auto[:…]", "private" (given by IDMappings) or "container:<id>"
	UsernsImplied   bool              `json:",omitempty"` // UsernsMode follows from another namespace that is shared
	IDMappings      *IDMappings       `json:",omitempty"` // of its user namespace, where they are not those of U
	CgroupnsMode    string            // "private" or "host"
	CgroupParent    string            `json:",omitempty"` // a slice, or a path of cgroupfs
	CgroupConf      map[string]string `json:",omitempty"` // files of cgroup v2 and what to write to them (podman run --cgroup-conf)
	StrictLimits    bool              `json:",omitempty"` // a limit that cannot be set keeps the container from starting
	Annotations     map[string]string `json:",omitempty"`
	OomScoreAdj     int
	Runtime         string   // "" and "skiff" are the built-in one; else the name or path of another OCI runtime
	GroupsKept      bool     `json:",omitempty"` // the caller's supplementary groups stay (podman run --group-add keep-groups)
	Requires        []string `json:",omitempty"` // ids of containers that must run first (podman run --requires)
	Resources
}

// IDMappings are the ids of a container: "inside:outside:size", where outside is an id
// of U (podman's object).
type IDMappings struct {
	UIDMap, GIDMap []string
}

// Resources are the limits of a container: the fields of Docker's Resources object.
// Zero values limit nothing.
type Resources struct {
	Memory               int64  // bytes
	MemoryReservation    int64  // bytes
	MemorySwap           int64  // bytes of memory and swap together; -1 is unlimited swap
	MemorySwappiness     *int64 `json:",omitempty"`
	OomKillDisable       *bool  `json:",omitempty"`
	NanoCpus             int64  // 1e9 is one processor
	CpuShares            int64  // 1024 is the usual
	CpuPeriod            int64  // microseconds
	CpuQuota             int64  // microseconds; -1 is none
	CpuRealtimePeriod    int64
	CpuRealtimeRuntime   int64
	CpusetCpus           string
	CpusetMems           string
	PidsLimit            *int64           `json:",omitempty"` // -1 is none
	BlkioWeight          uint16           // 10 to 1000
	BlkioWeightDevice    []WeightDevice   `json:",omitempty"`
	BlkioDeviceReadBps   []ThrottleDevice `json:",omitempty"`
	BlkioDeviceWriteBps  []ThrottleDevice `json:",omitempty"`
	BlkioDeviceReadIOps  []ThrottleDevice `json:",omitempty"`
	BlkioDeviceWriteIOps []ThrottleDevice `json:",omitempty"`
}

// WeightDevice is a block device's share for the container.
type WeightDevice struct {
	Path   string
	Weight uint16
}

// ThrottleDevice bounds what the container may read from or write to a block
// device, in bytes or operations per second.
type ThrottleDevice struct {
	Path string
	Rate uint64
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
	Inherited    bool     `json:",omitempty"` // of another container, by --volumes-from
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

// DeviceRequest asks for devices by what they are rather than by path: Docker's object.
type DeviceRequest struct {
	Driver       string // "cdi": DeviceIDs are CDI names; "" and "nvidia" are GPUs
	Count        int    // -1 is all
	DeviceIDs    []string
	Capabilities [][]string
	Options      map[string]string
}

// RestartPolicy says whether the shim starts the container again when it has ended.
type RestartPolicy struct {
	Name              string // "no", "always", "unless-stopped" or "on-failure"
	MaximumRetryCount int    // of on-failure; 0 is without end
}

// Status is where a container stands in its life (Docker's words).
type Status string

const (
	Created    Status = "created"
	Running    Status = "running"
	Paused     Status = "paused"
	Restarting Status = "restarting" // its shim lives and waits to start it again; there is no first process
	Exited     Status = "exited"
	Removing   Status = "removing"
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

	OOMKilled    bool   `json:",omitempty"` // the kernel ended a process of it for want of memory, since the last start
	RestartCount int    `json:",omitempty"` // how often the policy has started it again since the user did
	UserStopped  bool   `json:",omitempty"` // stop or kill ended it: unless-stopped leaves it so
	Cgroup       *Group `json:",omitempty"` // nil where nothing can be limited
	Creating     bool   `json:",omitempty"` // another runtime's create was begun, which may leave processes that Init does not tell
}

// Alive tells whether the container has processes: it runs, or is paused.
func (s *State) Alive() bool { return s.Status == Running || s.Status == Paused }

// Up tells whether a shim has the container: it has processes, or waits to be
// started again.
func (s *State) Up() bool { return s.Alive() || s.Status == Restarting }
