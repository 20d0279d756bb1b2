package client

import (
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/wire"
)

// The conversation with the network helper, over [SocketName] in the store
// (package wire). A shim's lasts as long as its container; the kernel ends it with
// either side, which is how both learn of the other's death.
//
//	client                                  helper
//	  │ Attach{container} + its netns   ──▶   │   a shim, before its container's program starts
//	  │  ◀── Attached + N | Failure           │   interfaces, addresses, routes, names and ports are there
//	  │ Detach                          ──▶   │   at the container's end
//	  │  ◀── Done                             │   its names and ports are gone
//
//	  │ Reload{container}               ──▶   │   a command that changed network.json
//	  │  ◀── Done | Failure                   │
//	  │ Forget{network}                 ──▶   │   a command that removed a network
//	  │  ◀── Done                             │
//	  │ Status                          ──▶   │
//	  │  ◀── StatusReport                     │
//
// After a new helper has taken over, the shims say Attach again: what exists is left
// as it is, so connections between containers do not notice.
//
// The kinds of messages.
const (
	KindAttach wire.Kind = iota + 1
	KindAttached
	KindDetach
	KindReload
	KindForget
	KindStatus
	KindReport
	KindDone
	KindFailure
)

// Attach asks for the networks of a container. Its network namespace comes with it,
// and then the sockets that an earlier helper had given to keep.
type Attach struct{ Container string }

// MaxSockets is how many sockets go with a message at most.
const MaxSockets = 32

// Reload asks to make true what network.json of an attached container says now.
type Reload struct{ Container string }

// Forget asks to take a network's interfaces away.
type Forget struct{ Network string }

// Status is what the helper knows, for `network check` and `network inspect`.
type Status struct {
	PID        int
	Path       string // "kernel" or "netstack"; why in Why
	Why        string `json:",omitempty"`
	Containers []AttachedContainer
	Interfaces []string // in N, but for lo
	Memory     int64    // resident bytes
}

// AttachedContainer is one that a shim has attached.
type AttachedContainer struct {
	ID       string
	Networks []string
	Ports    []store.Port
}

// Failure is an error in words for the user.
type Failure struct {
	Text string
	Hint string `json:",omitempty"`
}

func (f *Failure) Error() string { return f.Text }
