package run

import (
	"io"
	"os"

	"github.com/skiff-containers/skiff/archive"
	"github.com/skiff-containers/skiff/registry/unpack"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// hostFiles are the host's files, as the user sees them.
type hostFiles struct{ *archive.Tree }

// openHost opens the host's files for a copy from or to a container, to whom their
// owners are what a bind mount would show. Root's are called by their numbers.
func openHost(inside *store.Record) (*hostFiles, error) {
	var ids archive.IDs
	if inside != nil && os.Geteuid() != 0 {
		own, err := userns.Current()
		if err != nil {
			return nil, err
		}
		ids = append(ids, own)
		mapping, err := MappingOf(inside)
		if err != nil {
			return nil, err
		}
		if mapping != nil {
			ids = append(ids, mapping)
		}
	}
	root, err := os.OpenFile("/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	tree, err := archive.NewTree(root, ids)
	if err != nil {
		root.Close()
		return nil, err
	}
	return &hostFiles{tree}, nil
}

// Extract unpacks what comes from a container beneath a folder of the user's.
func (h *hostFiles) Extract(o archive.ExtractOptions, r io.Reader) (*unpack.Result, error) {
	into, err := os.OpenFile(o.Into, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	tree, err := archive.NewTree(into, h.IDs)
	if err != nil {
		into.Close()
		return nil, err
	}
	defer tree.Close()
	o.Into = ""
	return archive.ExtractHost(tree, o, r)
}
