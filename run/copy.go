package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skiff-containers/skiff/archive"
	"github.com/skiff-containers/skiff/registry"
	"github.com/skiff-containers/skiff/registry/unpack"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// CopyEnd is one end of a copy: a path in a container, a path of the host's, or a
// stream that has a tar archive.
type CopyEnd struct {
	Container string   // "" is the host
	Path      string   // may end in "/" or "/.", with Docker's meaning
	Stream    *os.File // of the host's end, in place of Path
}

// CopyOptions say what `cp` copies, and how.
type CopyOptions struct {
	From, To   CopyEnd
	KeepOwners bool // else files belong to the container's root, or to the user
	FollowLink bool // a symbolic link that From names is followed
	Overwrite  bool // a directory may take the place of a file, and the other way round
}

// Copy copies files into a container, out of one, or from one to another. It returns
// how many bytes that was as an archive.
func (e *Engine) Copy(ctx context.Context, o *CopyOptions) (size int64, err error) {
	defer e.tidy()()
	from, to, err := e.openEnds(ctx, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, from.close(), to.close()) }()
	c := copying{engine: e, options: o, from: from, to: to}
	c.tellTmpfs()
	switch {
	case o.From.Stream != nil:
		size, err = c.fromStream()
	case o.To.Stream != nil:
		size, err = c.toStream()
	default:
		size, err = c.between()
	}
	for action, end := range map[string]*copyEnd{"archive-path": from, "extract-to-dir": to} {
		if err == nil && end.record != nil {
			e.emit(end.record, action)
		}
	}
	return size, err
}

// copyEnd is an end of a copy, open.
type copyEnd struct {
	name   string // what the user called it; "" is the host
	files  filesTree
	record *store.Record // of a container
}

// filesTree is what is done with files, of the host and of containers alike.
type filesTree interface {
	Stat(name string, follow bool) (*archive.Info, error)
	Place(name string) (*archive.Place, error)
	Pack(o archive.PackOptions, w io.Writer) (*archive.Packed, error)
	Extract(o archive.ExtractOptions, r io.Reader) (*unpack.Result, error)
	Close() error
}

func (e *copyEnd) close() error {
	if e == nil || e.files == nil {
		return nil
	}
	return e.files.Close()
}

// missing explains that a path cannot be opened.
func (e *copyEnd) missing(path string, err error) error {
	if e.name != "" {
		return missingFile(path, e.name, err)
	}
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("lstat %s: no such file or directory", path)
	}
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		err = failed.Err // whose path is the same again
	}
	return fmt.Errorf("opening %s: %w", path, err)
}

// unreachable explains that nothing can be made at a path.
func (e *copyEnd) unreachable(path string, err error) error {
	if e.name == "" && errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("invalid output path: directory %q does not exist", filepath.Dir(path))
	}
	return e.missing(path, err)
}

// openEnds opens both ends. Two containers that do not run are locked in the order of
// their ids, so that two copies never wait for each other.
func (e *Engine) openEnds(ctx context.Context, o *CopyOptions) (from, to *copyEnd, err error) {
	found := [2]*store.Container{}
	ends := [2]*copyEnd{{name: o.From.Container}, {name: o.To.Container}}
	for i, end := range ends {
		if end.name == "" {
			continue
		}
		if found[i], end.record, err = e.find(end.name); err != nil {
			return nil, nil, err
		}
	}
	order := []int{0, 1}
	if found[0] != nil && found[1] != nil {
		if found[0].ID == found[1].ID {
			return nil, nil, fmt.Errorf("copying from a container to itself is what %q does", "skiff exec "+o.From.Container+" cp")
		}
		if found[0].ID > found[1].ID {
			order = []int{1, 0}
		}
	}
	defer func() {
		if err != nil {
			ends[0].close()
			ends[1].close()
		}
	}()
	for _, i := range order {
		if c := found[i]; c != nil {
			f, openErr := e.openFiles(ctx, c, ends[i].record, asContainer)
			if err = openErr; err != nil {
				return nil, nil, err
			}
			ends[i].files = f
		}
	}
	for i, end := range ends {
		if found[i] != nil {
			continue
		}
		inside := ends[1-i].record
		if end.files, err = openHost(inside); err != nil {
			return nil, nil, err
		}
	}
	return ends[0], ends[1], nil
}

// copying is one copy.
type copying struct {
	engine   *Engine
	options  *CopyOptions
	from, to *copyEnd
}

// fromStream unpacks an archive that the user has.
func (c *copying) fromStream() (int64, error) {
	o := c.options
	at, err := c.to.files.Place(o.To.Path)
	if err != nil {
		return 0, c.to.missing(o.To.Path, err)
	}
	if !at.IsDir() {
		return 0, fmt.Errorf("destination \"%s:%s\" must be a directory", o.To.Container, o.To.Path)
	}
	counted := &counter{Reader: o.From.Stream}
	plain, err := registry.Decompress(counted)
	if errors.Is(err, registry.ErrXZ) {
		err = &userns.HostError{What: err.Error(), Hint: "xz -dc ARCHIVE | skiff cp - " + o.To.Container + ":" + o.To.Path}
	}
	if err != nil {
		return 0, err
	}
	defer plain.Close()
	result, err := c.to.files.Extract(archive.ExtractOptions{Into: at.Folder, KeepOwners: o.KeepOwners, Overwrite: o.Overwrite}, plain)
	if err != nil {
		return counted.n, c.failed(err)
	}
	c.tellUnpacked(result)
	return counted.n, nil
}

type counter struct {
	io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// toStream packs an archive for the user.
func (c *copying) toStream() (int64, error) {
	o := c.options
	source, err := c.from.files.Stat(o.From.Path, o.FollowLink)
	if err != nil {
		return 0, c.from.missing(o.From.Path, err)
	}
	packed, err := c.from.files.Pack(archive.PackOptions{Path: o.From.Path, Follow: o.FollowLink, Name: source.Name}, o.To.Stream)
	if err != nil {
		return 0, c.failed(err)
	}
	c.tellPacked(packed)
	return packed.Size, nil
}

// between copies from path to path.
func (c *copying) between() (int64, error) {
	o := c.options
	source, err := c.from.files.Stat(o.From.Path, o.FollowLink)
	if err != nil {
		return 0, c.from.missing(o.From.Path, err)
	}
	at, err := c.to.files.Place(o.To.Path)
	if err != nil {
		return 0, c.to.unreachable(o.To.Path, err)
	}
	if at.Exists && !at.IsDir() && !at.Mode.IsRegular() {
		return 0, fmt.Errorf("destination %q must be a directory or a regular file", o.To.Path)
	}
	into, name, err := archive.Plan(source, at, o.To.Path)
	if err != nil {
		return 0, c.failed(err)
	}
	stream, sink := io.Pipe()
	type outcome struct {
		packed *archive.Packed
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		packed, err := c.from.files.Pack(archive.PackOptions{Path: o.From.Path, Follow: o.FollowLink, Name: name}, sink)
		sink.CloseWithError(err)
		done <- outcome{packed, err}
	}()
	result, err := c.to.files.Extract(archive.ExtractOptions{Into: into, KeepOwners: o.KeepOwners, Overwrite: o.Overwrite}, stream)
	stream.CloseWithError(errors.Join(io.ErrClosedPipe, err))
	packing := <-done
	// Where one side fails so does the other, by what it then misses.
	switch {
	case packing.err != nil && !errors.Is(packing.err, io.ErrClosedPipe):
		return 0, c.failed(packing.err)
	case err != nil:
		return 0, c.failed(err)
	}
	c.tellPacked(packing.packed)
	c.tellUnpacked(result)
	return packing.packed.Size, nil
}
