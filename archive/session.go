package archive

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/skiff-containers/skiff/registry/unpack"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Session is a conversation with the stage. It is for one goroutine.
type Session struct {
	store   *store.Store
	who     string
	process *userns.Process

	ours    [4]*os.File // our ends
	asks    *json.Encoder
	answers *json.Decoder
	in, out *os.File // two of ours
}

// Open starts the stage on a container's root. lock is the container's lock where the
// stage mounts the root itself, else nil. Close must follow.
func Open(s *store.Store, root Root, lock *store.Lock) (*Session, error) {
	x := &Session{store: s, who: "stage-" + store.NewID()[:16]}
	var theirs []userns.File
	defer func() {
		for _, f := range theirs {
			f.File.Close()
		}
	}()
	var ours [4]*os.File
	for i, name := range [...]string{"requests", "replies", "in", "out"} {
		read, write, err := os.Pipe()
		if err != nil {
			closeAll(ours[:])
			return nil, err
		}
		if name == "requests" || name == "in" {
			read, write = write, read
		}
		ours[i], theirs = read, append(theirs, userns.File{Name: name, File: write})
	}
	files := theirs
	if lock != nil {
		files = append(files[:len(files):len(files)], userns.File{Name: "lock", File: lock.File()})
	}
	var namespaces uintptr
	if root.Stack != nil {
		namespaces = unix.CLONE_NEWNS
	}
	process, _, err := s.Enter(&userns.Command{Path: "/proc/self/exe", Args: []string{Stage}, Env: os.Environ(), Stderr: os.Stderr, Files: files}, namespaces, x.who)
	if err != nil {
		closeAll(ours[:])
		return nil, err
	}
	x.process, x.ours, x.in, x.out = process, ours, ours[2], ours[3]
	x.asks, x.answers = json.NewEncoder(ours[0]), json.NewDecoder(ours[1])
	if err := x.asks.Encode(root); err != nil {
		x.Close()
		return nil, fmt.Errorf("talking to the stage %s: %w", Stage, err)
	}
	if _, err := x.hear(); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// Close ends the stage and returns when it has let go of the container's files.
func (x *Session) Close() error {
	closeAll(x.ours[:]) // some a second time, which does no harm
	status, err := x.process.Wait()
	x.store.Leave(x.who)
	if err == nil && (status.Signaled() || status.ExitStatus() != 0) {
		err = fmt.Errorf("the stage %s has ended with %v", Stage, status)
	}
	return err
}

// ask sends a request; hear takes the reply.
func (x *Session) ask(r request) error {
	if err := x.asks.Encode(&r); err != nil {
		return fmt.Errorf("talking to the stage %s: %w", Stage, err)
	}
	return nil
}

func (x *Session) hear() (*reply, error) {
	var r reply
	if err := x.answers.Decode(&r); err != nil {
		return nil, fmt.Errorf("talking to the stage %s: %w", Stage, err)
	}
	return &r, r.err()
}

func (x *Session) call(r request) (*reply, error) {
	if err := x.ask(r); err != nil {
		return nil, err
	}
	return x.hear()
}

// Stat is [Tree.Stat].
func (x *Session) Stat(name string, follow bool) (*Info, error) {
	r, err := x.call(request{Op: opStat, Path: name, Follow: follow})
	if err != nil {
		return nil, err
	}
	return r.Info, nil
}

// Place is [Tree.Place].
func (x *Session) Place(name string) (*Place, error) {
	r, err := x.call(request{Op: opPlace, Path: name})
	if err != nil {
		return nil, err
	}
	return r.Place, nil
}

// Pack is [Tree.Pack]. It may be called once.
func (x *Session) Pack(o PackOptions, w io.Writer) (*Packed, error) {
	if err := x.ask(request{Op: opPack, Pack: &o}); err != nil {
		return nil, err
	}
	_, copyErr := io.Copy(w, x.out)
	x.out.Close() // where nobody wants more, the stage learns it so
	r, err := x.hear()
	if copyErr != nil {
		return nil, copyErr
	}
	if err != nil {
		return nil, err
	}
	return r.Packed, nil
}

// Extract is [Tree.Extract]. It may be called once.
func (x *Session) Extract(o ExtractOptions, archive io.Reader) (*unpack.Result, error) {
	if err := x.ask(request{Op: opExtract, Extract: &o}); err != nil {
		return nil, err
	}
	source := &source{r: archive}
	copied := make(chan struct{})
	go func() {
		io.Copy(x.in, source)
		x.in.Close()
		close(copied)
	}()
	r, err := x.hear()
	if err == nil {
		<-copied
		err = source.err
	}
	if err != nil {
		x.in.SetWriteDeadline(time.Unix(0, 1))
		return nil, err
	}
	return r.Extracted, nil
}

// source remembers how reading ended.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// Compare has the stage compare a container's tree with its image's.
func (x *Session) Compare(c Comparison) ([]Change, error) {
	r, err := x.call(request{Op: opCompare, Compare: &c})
	if err != nil {
		return nil, err
	}
	return r.Changes, nil
}
