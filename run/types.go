package run

import (
	"time"

	"github.com/skiff-containers/skiff/store"
)

// ContainerInspect is what `inspect` prints of a container: Docker's
// ContainerInspect object, field for field as far as skiff has them.
type ContainerInspect struct {
	ID              string `json:"Id"`
	Created         string // RFC 3339 with nanoseconds
	Path            string
	Args            []string
	State           ContainerState
	Image           string // digest of the image's config
	ResolvConfPath  string
	HostnamePath    string
	HostsPath       string
	LogPath         string
	PidFile         string `json:",omitempty"` // podman's
	Name            string // with a leading slash
	RestartCount    int
	Driver          string
	Platform        string // "linux"
	MountLabel      string
	ProcessLabel    string
	AppArmorProfile string
	ExecIDs         []string
	HostConfig      InspectHostConfig
	GraphDriver     GraphDriver
	Mounts          []MountPoint
	Config          InspectConfig
	NetworkSettings NetworkSettings
}

// ContainerState is Docker's State object.
type ContainerState struct {
	Status     store.Status
	Running    bool
	Paused     bool
	Restarting bool
	OOMKilled  bool
	Dead       bool
	Pid        int
	ExitCode   int
	Error      string
	StartedAt  string // RFC 3339; "0001-01-01T00:00:00Z" where it never was
	FinishedAt string
	Health     *store.Health `json:",omitempty"` // nil: it is not asked for
}

// GraphDriver says where a root file system lies.
type GraphDriver struct {
	Data map[string]string
	Name string
}

// ImageInspect is what `inspect` prints of an image: Docker's ImageInspect object.
type ImageInspect struct {
	ID            string `json:"Id"`
	RepoTags      []string
	RepoDigests   []string
	Parent        string
	Comment       string
	Created       string
	DockerVersion string // of the docker that made it, or ""
	Author        string
	Config        ImageInspectConfig
	Architecture  string
	Variant       string `json:",omitempty"`
	Os            string
	Size          int64
	GraphDriver   GraphDriver
	RootFS        RootFS
	Metadata      ImageMetadata
}

// ImageInspectConfig is an image's Config as inspect prints it: with the fields that
// Docker has there whether set or not. Those of the store that are left out when
// empty are declared once more, as they are not here.
type ImageInspectConfig struct {
	store.ImageConfig
	User       string
	Env        []string
	Cmd        []string
	Volumes    map[string]struct{}
	WorkingDir string
	Entrypoint []string
	Labels     map[string]string
	OnBuild    []string
	Shell      []string `json:",omitempty"`
}

// ImageMetadata is what the store alone knows of an image.
type ImageMetadata struct {
	LastTagTime string // when it was last given a name here, by a pull too; the zero time without one
}

// RootFS lists the layers of an image, lowest first.
type RootFS struct {
	Type   string // "layers"
	Layers []string
}

// ImageListOptions select rows of `images`.
type ImageListOptions struct {
	Reference string              // only this repository, or repository:tag; "*" and "?" match
	Filters   map[string][]string // reference, label, dangling, before, since, until
}

// ImageSummary is one row of `images`: one name of an image, or an image without a name.
type ImageSummary struct {
	ID         string // "sha256:…"
	Repository string // as Docker shows it: "busybox", "127.0.0.1:5000/busybox"; "<none>" without a name
	Tag        string // "<none>" where the name is a digest only
	Digest     string // what the registry's tag names, "sha256:…"
	Platform   string
	Created    time.Time
	Size       int64
	Labels     map[string]string
	Containers int // how many containers of this store were made from it
}

// ImageDeleted is one step of removing an image; one of the fields is set.
type ImageDeleted struct {
	Untagged string `json:",omitempty"`
	Deleted  string `json:",omitempty"`
}

// Version says what this program is.
type Version struct {
	Version   string
	GitCommit string
	Built     string // RFC 3339
	GoVersion string
	Os        string
	Arch      string
	Module    string
}

// Info is what `info` prints: the store, what it holds, and what this host offers.
type Info struct {
	ID                string
	Containers        int
	ContainersRunning int
	ContainersPaused  int
	ContainersStopped int
	Images            int
	Driver            string
	DockerRootDir     string // the store's root
	LoggingDriver     string
	CgroupVersion     string // "1", "2", or "1 (hybrid)"
	CgroupDriver      string // "systemd", "cgroupfs", or "none" where skiff can limit nothing
	CgroupControllers []string
	MemoryLimit       bool
	SwapLimit         bool
	CpuCfsPeriod      bool
	CpuCfsQuota       bool
	CPUShares         bool
	CPUSet            bool
	PidsLimit         bool
	BlkioLimit        bool
	KernelVersion     string
	OperatingSystem   string
	OSType            string
	Architecture      string // as uname -m has it: "x86_64", "aarch64"
	NCPU              int
	MemTotal          int64
	Name              string // the host's
	ServerVersion     string // skiff's own
	SecurityOptions   []string
	Runtimes          map[string]RuntimeInfo // by name; "skiff" is built in
	DefaultRuntime    string
	Rootless          bool
	UIDMap            []IDMap
	GIDMap            []IDMap
	NewuidmapPath     string
	ConfigFile        string // docker's config.json as skiff reads it, or ""
	Swarm             Swarm
	Warnings          []string
}

// Swarm says that this is no node of a cluster, to programs that ask first.
type Swarm struct {
	LocalNodeState   string // "inactive"
	ControlAvailable bool
}

// RuntimeInfo is an OCI runtime that this host has.
type RuntimeInfo struct {
	Path string `json:"path"`
}

// IDMap is one range of ids in skiff's user namespace.
type IDMap struct {
	ContainerID int64
	HostID      int64
	Size        int64
}
