package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/skiff-containers/skiff/registry/unpack"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Stage is the argv[0] of the process that works on a container's files. It is root of
// U; for a container that does not run it has a mount namespace of its own, where it
// mounts the container's root. That becomes its own root as well, so that a path that
// were followed by mistake would stay inside. Its parent is the command, with which it
// dies.
//
//	"in"       the archive to unpack
//	"out"      the archive that was packed; closed at its end
//	"requests" a Root, then requests, in JSON
//	"replies"  a reply to each
//	"lock"     the container's lock, kept open: nobody starts the container before the
//	           stage has ended
//
//	command                         stage
//	  │ Root                    ──▶   │  opens or mounts it
//	  │  ◀── reply                    │
//	  │ stat, place             ──▶   │  any number of these
//	  │  ◀── reply                    │
//	  │ pack | extract | compare ──▶  │  one of these
//	  │  ◀── out, or in ──▶           │
//	  │  ◀── reply                    │
//	  │ end of requests         ──▶   │  unmounts, ends
const Stage = "skiff-archive"

// Stages are the stages of this package by argv[0].
func Stages() map[string]func() int { return map[string]func() int{Stage: stageMain} }

// The requests.
const (
	opStat    = "stat"
	opPlace   = "place"
	opPack    = "pack"
	opExtract = "extract"
	opCompare = "compare"
)

type request struct {
	Op      string
	Path    string          `json:",omitempty"`
	Follow  bool            `json:",omitempty"`
	Pack    *PackOptions    `json:",omitempty"`
	Extract *ExtractOptions `json:",omitempty"`
	Compare *Comparison     `json:",omitempty"`
}

type reply struct {
	Info      *Info          `json:",omitempty"`
	Place     *Place         `json:",omitempty"`
	Packed    *Packed        `json:",omitempty"`
	Extracted *unpack.Result `json:",omitempty"`
	Changes   []Change       `json:",omitempty"`

	Error string `json:",omitempty"`
	Hint  string `json:",omitempty"`
	Errno int    `json:",omitempty"` // what the error comes from, as far as it is the kernel's
}

// stage is the state of the process.
type stage struct {
	requests *json.Decoder
	replies  *json.Encoder
	in, out  *os.File
	tree     *Tree
}

func stageMain() int {
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // a container in the host's PID namespace sees us
	unix.Umask(0)
	var passed [4]*os.File
	for i, name := range [...]string{"requests", "replies", "in", "out"} {
		var err error
		if passed[i], err = userns.Passed(name); err != nil {
			return 1
		}
	}
	s := &stage{requests: json.NewDecoder(passed[0]), replies: json.NewEncoder(passed[1]), in: passed[2], out: passed[3]}
	if err := userns.DieWithParent(); err != nil {
		return 1
	}
	undo, err := s.enter()
	if s.replies.Encode(failed(err)) != nil || err != nil {
		return 1
	}
	for s.serve() {
	}
	if undo() != nil {
		return 1
	}
	return 0
}

// enter makes the container's root this process's own.
func (s *stage) enter() (undo func() error, err error) {
	var root Root
	if err := s.requests.Decode(&root); err != nil {
		return nil, fmt.Errorf("reading which files are meant: %w", err)
	}
	mapping, err := root.IDs.Mapping()
	if err != nil {
		return nil, err
	}
	if root.Live == nil && root.Below == nil && root.Stack == nil {
		return func() error { return nil }, nil // only layers are compared
	}
	own, err := os.OpenFile("/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	top, unmount, err := root.open()
	if err != nil {
		return nil, err
	}
	var ids IDs
	if mapping != nil {
		ids = IDs{mapping}
	}
	if s.tree, err = NewTree(top, ids); err != nil {
		return nil, err
	}
	if err := enterRoot(top); err != nil {
		return nil, err
	}
	return func() error {
		s.tree.Close()
		if err := enterRoot(own); err != nil {
			return err
		}
		return unmount()
	}, nil
}

func enterRoot(dir *os.File) error {
	if err := unix.Fchdir(int(dir.Fd())); err != nil {
		return fmt.Errorf("entering the container's root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("entering the container's root: %w", err)
	}
	return nil
}

// serve answers one request; false is the end.
func (s *stage) serve() bool {
	var r request
	if s.requests.Decode(&r) != nil {
		return false
	}
	answer, err := s.answer(&r)
	if err != nil {
		answer = failed(err)
	}
	return s.replies.Encode(answer) == nil
}

func (s *stage) answer(r *request) (out *reply, err error) {
	out = &reply{}
	switch {
	case r.Op == opCompare && r.Compare != nil:
		out.Changes, err = r.Compare.run()
		return out, err
	case s.tree == nil:
		return nil, errors.New("no root is named")
	}
	switch {
	case r.Op == opStat:
		out.Info, err = s.tree.Stat(r.Path, r.Follow)
	case r.Op == opPlace:
		out.Place, err = s.tree.Place(r.Path)
	case r.Op == opPack && r.Pack != nil:
		out.Packed, err = s.tree.Pack(*r.Pack, s.out)
		s.out.Close()
	case r.Op == opExtract && r.Extract != nil:
		out.Extracted, err = s.tree.Extract(*r.Extract, s.in)
		s.in.Close() // who still writes is told that nobody reads
	default:
		err = fmt.Errorf("request %q is not known", r.Op)
	}
	return out, err
}

// failed is a reply that tells of an error, or of none.
func failed(err error) *reply {
	if err == nil {
		return &reply{}
	}
	r := &reply{Error: err.Error()}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		r.Errno = int(errno)
	}
	var host *userns.HostError
	if errors.As(err, &host) {
		r.Hint = host.Hint
	}
	return r
}

// stageError is an error of the stage's, which compares with its cause.
type stageError struct {
	text  string
	hint  string
	errno syscall.Errno
}

func (e *stageError) Error() string { return e.text }

func (e *stageError) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

// err is the error that a reply tells of.
func (r *reply) err() error {
	if r.Error == "" {
		return nil
	}
	err := error(&stageError{r.Error, r.Hint, syscall.Errno(r.Errno)})
	if r.Hint != "" {
		return &userns.HostError{What: r.Error, Hint: r.Hint}
	}
	return err
}
