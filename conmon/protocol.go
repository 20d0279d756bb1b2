package conmon

import (
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/wire"
)

// The wire. Every connection is a SOCK_SEQPACKET unix socket, so one packet is one
// message and descriptors (SCM_RIGHTS) stay with the message they belong to. The
// first byte says what it is; the rest is JSON, or raw bytes for stream data.
//
//	run ── socketpair ── shim        the start: Setup, then as an attached client
//	CLI ── <container>/shim.sock     Attach, Exec, Signal, Wait, Start, Pause, Policy
//
//	client                             shim
//	  │ Setup | Attach | Exec | …  ──▶  │
//	  │  ◀── Started{pid} | Failure     │   Failure ends the conversation
//	  │  ◀── stdout, stderr bytes       │
//	  │ stdin bytes, EOF, Resize, Signal ──▶
//	  │  ◀── StdinTaken                 │   one for each packet of stdin: flow control
//	  │  ◀── Exited{code}               │   always last
//
// At most stdinWindow packets of stdin are under way: a container that does not
// read its input holds up its writer, but no signal and no resize behind it.
const (
	kindSetup wire.Kind = iota + 1
	kindAttach
	kindExec
	kindSignal
	kindWait
	kindResize
	kindStdin      // raw
	kindStdinEOF   // empty
	kindStdinTaken // empty
	kindStarted
	kindStdout // raw
	kindStderr // raw
	kindExited
	kindFailure
	kindDone  // empty: the answer to a Signal that opened the conversation
	kindStart // Attach
	kindGroup // to the shim, after Setup: its container's cgroup, or one without a path
	kindPause
	kindPolicy
	kindCheck // empty: runs the health check
	kindChecked
	kindList // empty: asks which processes of exec run
	kindListed
	kindDetach // empty: the client leaves on purpose, and its process of exec goes on
)

const stdinWindow = 4

// Setup is the first message to a fresh shim: all that it must know beside the OCI
// config in the container's folder.
type Setup struct {
	Container   string // id
	Name        string
	Dir         string // its folder, absolute
	Root        string // the store's root
	Stack       store.Stack
	User        string    // "name|uid[:group|gid]", looked up in the container's own files
	GroupAdd    []string  // names or numbers
	Identity    *Identity // whom the accounts of the container are to have; nil mostly
	OpenStdin   bool      // keep stdin for attached clients
	StdinOnce   bool      // close it when the first of them leaves
	AutoRemove  bool
	Init        bool
	Log         store.LogConfig
	Restart     store.RestartPolicy
	Runtime     string // the program of another OCI runtime; "" is skiff's own
	StopSignal  int
	StopTimeout time.Duration // after which SIGKILL follows StopSignal; negative is never
	Health      *Health       // nil: none is asked for
	Timeout     time.Duration // after which a life is killed; 0 is never
	// Joined names the containers whose namespaces are shared, by the namespaces' type.
	Joined map[specs.LinuxNamespaceType]string `json:",omitempty"`
	// Attributes are what events tell of the container: its labels, name and image.
	Attributes map[string]string
	Seccomp    bool // seccomp.bpf lies in the folder
	// SeccompFlags are how that filter is installed, SECCOMP_FILTER_FLAG_*.
	SeccompFlags uint32 `json:",omitempty"`
	Attach       Attach
	// Grouped says that a message follows with the container's cgroup, a store.Group,
	// which is being made: nothing is forked before it has come.
	Grouped bool
	// Network says that the container has networks: the connection to the network
	// helper and the main program come as descriptors, before those of Direct.
	Network bool
	// Direct says which of stdin, stdout and stderr are passed as descriptors to be
	// the container's own.
	Direct [3]bool
	// Preserve is how many descriptors come after those, which the process of the first
	// life has from 3 on.
	Preserve int `json:",omitempty"`
	// PidFile gets the id of the first process, in each life; "" is none.
	PidFile string `json:",omitempty"`
}

// Health says how the container's health is asked for. All of it is set.
type Health struct {
	Args                                          []string
	Interval, Timeout, StartPeriod, StartInterval time.Duration
	Retries                                       int
	OnFailure                                     string // "kill", "restart", "stop"; else nothing
}

// Attach says which streams a client wants, and its terminal's size.
type Attach struct {
	Stdin, Stdout, Stderr bool
	Size                  Size
}

// Size is a terminal's.
type Size struct{ Rows, Columns uint16 }

// ExecRequest asks for a further process in the container.
type ExecRequest struct {
	ID       string         // 64 hexadecimal digits; "" takes any
	Process  *specs.Process // complete but for the user's ids and HOME
	User     string         // "name|uid[:group|gid]"
	GroupAdd []string
	Detach   bool // the process outlives this connection and has no streams
	Attach   Attach
	Direct   [3]bool // as in Setup; the descriptors come with the message, in order
	Preserve int     // so many more come after those of Direct, for the process to have from 3 on
	// Unconfined leaves the container's seccomp filter out (exec --privileged).
	Unconfined bool
}

// SignalRequest sends a signal to a process: to the container's first one when it
// opens a conversation, else to the one that the conversation is about.
type SignalRequest struct {
	Signal int
	Last   bool // the container is to end: no policy starts it again
}

// PauseRequest asks that all processes of the container stop, or with false go on.
type PauseRequest struct{ Pause bool }

// PolicyRequest has the container go by another restart policy from now on.
type PolicyRequest struct{ Policy store.RestartPolicy }

// Started says that the process was executed.
type Started struct{ PID int } // in the caller's PID namespace

// Checked says how a health check went, and what the container's health is now.
type Checked struct {
	Status   string
	ExitCode int
}

// Listed names the processes of exec that run.
type Listed struct{ Execs []string }

// Exited says how a process ended: 0 to 255, 128+n for a signal.
type Exited struct {
	Code    int
	Removed bool // --rm: the container is out of the store
	Again   bool // its policy starts the container again
}

// Failure is an error of the shim's or the runtime's, in words for the user.
type Failure struct {
	Code int // docker's exit code: 125, 126 or 127
	Text string
	Hint string `json:",omitempty"`
}

func (f *Failure) Error() string { return f.Text }
