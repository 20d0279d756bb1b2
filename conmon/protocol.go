package conmon

import (
	"github.com/skiff-containers/skiff/store"
)

// The wire. Every connection is a SOCK_SEQPACKET unix socket, so one packet is one
// message and descriptors (SCM_RIGHTS) stay with the message they belong to. The
// first byte says what it is; the rest is JSON, or raw bytes for stream data.
//
//	run ── socketpair ── shim        the start: Setup, then as an attached client
//	CLI ── <container>/shim.sock     Attach, Exec, Signal, Wait
//
//	client                             shim
//	  │ Setup | Attach | Exec | …  ──▶  │
//	  │  ◀── Started{pid} | Failure     │   Failure ends the conversation
//	  │  ◀── stdout, stderr bytes       │
//	  │ stdin bytes, EOF, Resize, Signal ──▶
//	  │  ◀── Exited{code}               │   always last
type kind byte

const (
	kindSetup kind = iota + 1
	kindAttach
	kindExec
	kindSignal
	kindWait
	kindResize
	kindStdin    // raw
	kindStdinEOF //
	kindStarted
	kindStdout // raw
	kindStderr // raw
	kindExited
	kindFailure
	kindDone // the answer to Signal
)

// maxPacket bounds a message; stream data is cut into packets of at most maxData.
const (
	maxPacket = 128 << 10
	maxData   = 32 << 10
)

// Setup is the first message to a fresh shim: all that it must know beside the OCI
// config in the container's folder.
type Setup struct {
	Container  string // id
	Dir        string // its folder, absolute
	Name       string
	Stack      store.Stack
	User       string   // "name|uid[:group|gid]", looked up in the container's own files
	GroupAdd   []string // names or numbers
	OpenStdin  bool     // keep stdin for attached clients
	StdinOnce  bool     // close it when the first of them leaves
	AutoRemove bool
	Init       bool
	Log        store.LogConfig
	Seccomp    bool // seccomp.bpf lies in the folder
	Attach     Attach
	// Direct says which of stdin, stdout and stderr were passed as descriptors
	// "stdin", "stdout", "stderr" to be the container's own.
	Direct [3]bool
	// Wait keeps the starter's connection open until the end, although it attaches nothing.
	Wait bool
}

// Attach says which streams a client wants, and its terminal's size.
type Attach struct {
	Stdin, Stdout, Stderr bool
	Size                  Size
}

// Size is a terminal's.
type Size struct{ Rows, Columns uint16 }

// ExecRequest asks for a further process in the container. Env is complete but for HOME.
type ExecRequest struct {
	Args       []string
	Env        []string
	Cwd        string
	User       string // "" is the container's
	Terminal   bool
	Privileged bool
	Detach     bool // outlives this connection; no streams
	Attach     Attach
	Direct     [3]bool // like Setup's; descriptors come with the message, in order
}

// SignalRequest sends a signal to the container's first process.
type SignalRequest struct{ Signal int }

// Started says that the process was executed.
type Started struct{ PID int } // in the host's PID namespace

// Exited says how a process ended: 0 to 255, 128+n for a signal. Failed to clean
// up is no matter for the one who waits.
type Exited struct {
	Code    int
	Removed bool // --rm: the container is out of the store
}

// Failure is an error of the shim's or the runtime's, in words for the user.
type Failure struct {
	Code int // docker's exit code: 125, 126 or 127
	Text string
	Hint string `json:",omitempty"`
}

func (f *Failure) Error() string { return f.Text }
