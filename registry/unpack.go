package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/skiff-containers/skiff/registry/unpack"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Stages are the tasks of this package that run as root of the user's user
// namespace, by argv[0]. Each returns its exit code.
func Stages() map[string]func() int {
	return map[string]func() int{
		unpack.Stage:      unpack.Run,
		unpack.FixUpStage: unpack.RunFixUp,
	}
}

// pipeSize is how much of a layer may wait between us and the stage: with the
// usual 64 KB the two spend their time waking each other.
const pipeSize = 1 << 20

// maxReport bounds what a stage may tell.
const maxReport = 64 << 20

// errContent is a layer that is at fault itself: to get it again would not help.
var errContent = errors.New("unusable layer")

// diskError is an error of the disk's that a stage has told, and compares with its cause.
type diskError struct {
	text  string
	cause syscall.Errno
}

func (e *diskError) Error() string { return e.text }
func (e *diskError) Unwrap() error { return e.cause }

// stage is a running process of this program in the user's namespace.
type stage struct {
	store   *store.Store
	who     string
	name    string
	process *userns.Process
	stdin   *os.File
	stdout  *os.File
	stderr  *os.File
	stop    func() bool
}

// startStage starts a stage that reads a stream. Cancelling ctx ends its input, and so it.
func startStage(ctx context.Context, s *store.Store, name string, files ...userns.File) (*stage, error) {
	st := &stage{store: s, who: "stage-" + rand.Text(), name: name}
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	var fds [2]int
	// The stage's end blocks, as its reads should; ours does not, so that closing it ends a write.
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize) // refused where the user's limit on pipes is reached
	unix.SetNonblock(fds[1], true)
	stdin := os.NewFile(uintptr(fds[0]), "stdin")
	st.stdin = os.NewFile(uintptr(fds[1]), "layer")
	theirs = append(theirs, stdin)
	for _, out := range []**os.File{&st.stdout, &st.stderr} {
		read, write, err := os.Pipe()
		if err != nil {
			st.close()
			return nil, fmt.Errorf("starting %s: %w", name, err)
		}
		*out = read
		theirs = append(theirs, write)
	}
	process, _, err := s.Enter(&userns.Command{
		Path: "/proc/self/exe", Args: []string{name}, Env: os.Environ(),
		Stdin: stdin, Stdout: theirs[1], Stderr: theirs[2], Files: files,
	}, 0, st.who)
	if err != nil {
		st.close()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	st.process = process
	st.stop = context.AfterFunc(ctx, func() { st.stdin.Close() })
	return st, nil
}

func (st *stage) close() {
	for _, f := range []*os.File{st.stdin, st.stdout, st.stderr} {
		if f != nil {
			f.Close()
		}
	}
}

// finish ends the stage's input and returns its report.
func (st *stage) finish() (*unpack.Report, error) {
	st.stop()
	st.stdin.Close()
	complaint := make(chan string)
	go func() {
		text, _ := io.ReadAll(io.LimitReader(st.stderr, 16<<10))
		complaint <- strings.TrimSpace(string(text))
	}()
	said, readErr := readBounded(st.stdout, maxReport)
	st.stdout.Close()
	text := <-complaint
	st.stderr.Close()
	status, waitErr := st.process.Wait()
	st.store.Leave(st.who)
	var report unpack.Report
	switch {
	case waitErr != nil:
		return nil, waitErr
	case status.Signaled():
		return nil, fmt.Errorf("running %s: %v %s", st.name, status.Signal(), text)
	case readErr != nil:
		return nil, fmt.Errorf("running %s: %w", st.name, readErr)
	}
	if err := json.Unmarshal(said, &report); err != nil {
		return nil, fmt.Errorf("running %s: exit code %d: %s", st.name, status.ExitStatus(), text)
	}
	return &report, nil
}

// unpacked is a layer in its staging directory.
type unpacked struct {
	staged *store.StagedLayer
	info   store.LayerInfo
	result *unpack.Result
}

// unpackLayer unpacks a tar archive into a staging directory and computes its diff
// id. The error wraps errContent where the archive is at fault. On success the
// caller commits and closes what comes back, or discards it.
func unpackLayer(ctx context.Context, s *store.Store, archive io.Reader) (_ *unpacked, err error) {
	staged, err := s.StageLayer()
	if err != nil {
		return nil, err
	}
	u := &unpacked{staged: staged}
	defer func() {
		if err != nil {
			u.discard()
		}
	}()
	st, err := startStage(ctx, s, unpack.Stage, userns.File{Name: "layer", File: staged.Dir}, userns.File{Name: "lock", File: staged.Lock})
	if err != nil {
		return nil, err
	}
	diff := sha256.New()
	copyErr := feed(ctx, st.stdin, diff, archive)
	report, err := st.finish()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case copyErr != nil && !errors.Is(copyErr, unix.EPIPE):
		return nil, copyErr // the archive broke off: what the stage says of it is no news
	case err != nil:
		return nil, err
	case report.Disk != 0:
		return nil, &diskError{report.Error, report.Disk}
	case report.Error != "":
		return nil, fmt.Errorf("%w: %s", errContent, report.Error)
	case copyErr != nil:
		return nil, copyErr
	}
	u.result = report.Result
	u.info = store.LayerInfo{
		DiffID: store.DigestOf(diff), Size: u.result.Size, Entries: u.result.Entries,
		Skipped: u.result.Devices, Implicit: u.result.Implicit, Whiteouts: u.result.Whiteouts,
	}
	return u, nil
}

// feed copies the archive to the stage and to the hash.
func feed(ctx context.Context, to *os.File, diff hash.Hash, archive io.Reader) error {
	buffer := make([]byte, 256<<10)
	for {
		n, err := archive.Read(buffer)
		if n > 0 {
			diff.Write(buffer[:n])
			if _, err := to.Write(buffer[:n]); err != nil {
				return fmt.Errorf("passing the layer on: %w", err)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// commit makes the staged directory the layer. It is synced before, all at once,
// so that a power cut cannot leave a layer with empty files under its final name.
func (u *unpacked) commit(blob string, d store.Durability) error {
	defer u.staged.Close()
	u.info.Blob = blob
	if d == store.Durable {
		if err := unix.Syncfs(int(u.staged.Dir.Fd())); err != nil {
			return fmt.Errorf("syncing layer %s: %w", u.info.DiffID, err)
		}
	}
	err := u.staged.Commit(&u.info, d)
	if err != nil {
		u.discard()
	}
	return err
}

// discard deletes the staged directory.
func (u *unpacked) discard() { u.staged.Discard() }
