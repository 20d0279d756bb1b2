package archive

import (
	"io"

	"github.com/skiff-containers/skiff/registry/unpack"
)

// ExtractOptions say how an archive becomes files of a tree.
type ExtractOptions struct {
	Into string // a directory, there already; symbolic links to it are followed within the tree
	// KeepOwners gives files the owners that the archive names; without, they are the tree's root's.
	KeepOwners bool
	Overwrite  bool // a directory may take the place of a file, and the other way round
}

// Extract unpacks an archive in the tree. Where it fails, what was unpacked stays.
func (t *Tree) Extract(o ExtractOptions, archive io.Reader) (*unpack.Result, error) {
	owner := t.IDs.Real
	if !o.KeepOwners {
		uid, gid := t.IDs.Root()
		owner = func(int, int) (int, int) { return uid, gid }
	}
	return unpack.Extract(t.Root, archive, unpack.Options{Into: o.Into, Owner: owner, Overwrite: o.Overwrite})
}

// ExtractHost unpacks an archive that a container's files were packed into, beneath a
// directory of the host's, as the caller: nothing in the archive leads out of it, and
// what it says of rights to whoever executes a file is left out, unless the owners
// are kept, too.
func ExtractHost(into *Tree, o ExtractOptions, archive io.Reader) (*unpack.Result, error) {
	options := unpack.Options{Confined: true, Overwrite: o.Overwrite, Plain: !o.KeepOwners}
	if o.KeepOwners {
		options.Owner = into.IDs.Real
	}
	return unpack.Extract(into.Root, archive, options)
}
