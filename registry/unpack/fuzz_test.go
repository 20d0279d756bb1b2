package unpack

import (
	"archive/tar"
	"bytes"
	"os"
	"testing"
)

// FuzzApply unpacks whatever bytes: it must neither panic nor touch anything
// outside of the directory.
func FuzzApply(f *testing.F) {
	f.Add(pack(f, entry{name: "a/"}, entry{name: "a/b", content: "x"}, entry{name: "l", kind: tar.TypeSymlink, link: "../secret"}))
	f.Add(pack(f, entry{name: "l", kind: tar.TypeSymlink, link: ".."}, entry{name: "l/secret", content: "x"}, entry{name: "h", kind: tar.TypeLink, link: "l/secret"}))
	f.Add(pack(f, entry{name: ".wh.a"}, entry{name: "a/b/"}, entry{name: "a/.wh..wh..opq"}, entry{name: "a", content: "1"}))
	f.Add(pack(f, entry{name: "p", kind: tar.TypeFifo}, entry{name: "c", kind: tar.TypeChar}, entry{name: "x", xattrs: map[string]string{"user.a": "b", "security.capability": "c"}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			t.Skip()
		}
		b := newBox(t)
		_, err := Apply(b.dir, bytes.NewReader(data))
		b.intact(t)
		if err == nil {
			b.walkable(t)
		}
	})
}

// walkable checks that a tree that was taken can be deleted again.
func (b *box) walkable(t *testing.T) {
	if err := os.RemoveAll(b.root); err != nil && os.Geteuid() == 0 {
		t.Error(err)
	}
}
