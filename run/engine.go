package run

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/registry"
	"github.com/skiff-containers/skiff/store"
)

// Engine carries out operations on one store. Its methods may be called from
// several goroutines. Notices are sentences for the user that are no error; each
// is given once per process.
type Engine struct {
	Store  *store.Store
	Notice func(text string)
	// Runtime is the OCI runtime of new containers that ask for none; "" is skiff's own.
	Runtime string

	swept sync.Once
}

// CreateOptions are what `run` and `create` ask for. Flags bind to the fields.
type CreateOptions struct {
	Image   string
	Command []string // replaces the image's CMD where not empty

	Name     string
	Platform string
	Pull     string // "always", "missing", "never", or podman's "newer"
	CIDFile  string
	PidFile  string // gets the id of the first process

	PreserveFDs uint // so many descriptors of the caller's, from 3 on, for the first life

	Interactive bool
	TTY         bool
	Attach      []string // stdin, stdout, stderr
	AutoRemove  bool
	Init        bool
	ReadOnly    bool
	Privileged  bool

	Env         []string // KEY=VALUE, or KEY to take over the caller's
	EnvFiles    []string
	Workdir     string
	User        string
	Entrypoint  *string // nil: the image's; "" clears it
	Hostname    string
	Network     netns.Options
	Publish     []string // -p
	PublishAll  bool
	Expose      []string
	Volumes     []string // -v
	Mounts      []string // --mount
	Tmpfs       []string
	CapAdd      []string
	CapDrop     []string
	SecurityOpt []string
	Ulimits     []string
	Labels      []string
	LabelFiles  []string
	GroupAdd    []string
	Devices     []string
	ShmSize     string
	StopSignal  string
	StopTimeout *int
	LogDriver   string
	LogOpts     []string

	IsolationOptions
	ProcessOptions
	LimitOptions
	HealthOptions
	RuntimeOptions
	UsernsOptions
	Restart string // "no", "always", "unless-stopped" or "on-failure[:COUNT]"

	AuthFile  string // credentials for the pull; "" is podman's and docker's
	TLSVerify bool
	Progress  registry.Progress
}

// Streams are the caller's ends of a container's standard streams. Terminal is
// nil where In is none.
type Streams struct {
	In, Out, Err *os.File
	Terminal     Terminal
}

// Terminal is the user's terminal, owned by the command line.
type Terminal interface {
	Size() (rows, columns uint16)
	Resized() <-chan struct{} // one element whenever the size has changed
	Raw() (restore func(), err error)
}

// AttachOptions say how a caller is connected to a container.
type AttachOptions struct {
	Streams
	NoStdin    bool
	DetachKeys string // "ctrl-p,ctrl-q"
	SigProxy   bool   // pass on the signals that this process gets
}

// Outcome is how a container or exec'd process ended, as far as an attached caller saw it.
type Outcome struct {
	ExitCode int
	Detached bool // the detach keys were typed: it runs on
}

// Summary is one row of ps.
type Summary struct {
	Record *store.Record
	State  *store.State
	Health string       // "starting", "healthy" or "unhealthy"; "" where it is not asked for, or nothing runs
	Ports  []store.Port // published, with the host's real ones; of one that runs
}

// ListOptions select rows of ps.
type ListOptions struct {
	All     bool
	Filters map[string][]string // id, name, label, status, ancestor, exited, before, since, network, volume, health and so on
	Last    int                 // at most so many, newest first, running or not; 0 is no limit
}

// StopOptions say how to end a container. Timeout nil takes the container's own, else ten seconds; negative waits without end.
type StopOptions struct {
	Signal  string
	Timeout *time.Duration
}

// RemoveOptions say what to remove.
type RemoveOptions struct {
	Force   bool           // kill it first where it runs
	Timeout *time.Duration // with Force, its stop signal and so long before SIGKILL; nil kills at once
	Depend  bool           // those first that share a namespace of it or require it
	Volumes bool           // accepted for anonymous volumes, which do not exist yet: none is ever made
}

// LogOptions select lines of a log.
type LogOptions struct {
	Follow     bool
	Since      time.Time
	Until      time.Time
	Tail       int // lines; negative is all
	Timestamps bool
	Details    bool
}

// ExecOptions are what `exec` asks for.
type ExecOptions struct {
	AttachOptions
	Command     []string
	Detach      bool
	Interactive bool
	TTY         bool
	Privileged  bool
	PreserveFDs uint // so many descriptors of the caller's, from 3 on
	Env         []string
	EnvFiles    []string
	User        string
	Workdir     string
}

// The operations, each in the file of its verb:
//
//	Create(ctx, *CreateOptions) (id string, err error)                           create.go
//	Start(ctx, ref) error                                                        start.go
//	StartAttached(ctx, ref, AttachOptions) (Outcome, error)                      start.go
//	Run(ctx, *CreateOptions, AttachOptions) (id, Outcome, error)                 run.go      (attached)
//	RunDetached(ctx, *CreateOptions) (id string, err error)                      run.go
//	Attach(ctx, ref, AttachOptions) (Outcome, error)                             attach.go
//	Exec(ctx, ref, *ExecOptions) (Outcome, error)                                exec.go
//	Stop(ctx, ref, StopOptions) error                                            stop.go
//	Restart(ctx, ref, StopOptions) error                                         restart.go
//	Kill(ctx, ref, signal string) error                                          kill.go
//	Remove(ctx, ref, RemoveOptions) error                                        remove.go
//	Wait(ctx, ref, condition string) (exitCode int, err error)                   wait.go
//	List(ctx, ListOptions) ([]Summary, error)                                    list.go
//	Inspect(ctx, ref) (*ContainerInspect, error)                                 inspect.go
//	InspectImage(ctx, ref) (*ImageInspect, error)                                inspect.go
//	Logs(ctx, ref, LogOptions, stdout, stderr io.Writer) error                   logs.go
//	Pull(ctx, registry.PullOptions) (*store.Image, error)                        image.go
//	Images(ctx, ImageListOptions) ([]ImageSummary, error)                        image.go
//	RemoveImage(ctx, ref, force bool) ([]ImageDeleted, error)                    image.go
//	Tag(ctx, source, target string) error                                        image.go
//	NetworkCreate(ctx, *NetworkCreateOptions) (id string, err error)             network_create.go
//	NetworkList(ctx, filters) ([]NetworkSummary, error)                          network_list.go
//	NetworkInspect(ctx, ref) (*NetworkInspect, error)                            network_inspect.go
//	NetworkRemove(ctx, ref, force bool) error                                    network_remove.go
//	NetworkPrune(ctx, filters) (removed []string, err error)                     network_prune.go
//	NetworkConnect(ctx, *NetworkConnectOptions) error                            network_connect.go
//	NetworkDisconnect(ctx, network, container string, force bool) error          network_disconnect.go
//	NetworkExists(ctx, ref) (bool, error)                                        network_exists.go
//	NetworkCheck(ctx, repair bool) ([]NetworkFinding, error)                     network_check.go
//	Unshare(ctx, argv []string, Streams) (exitCode int, err error)               unshare.go
//	Info(ctx) (*Info, error), Version() Version                                  info.go
var _ context.Context
