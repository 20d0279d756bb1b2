package registry

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// ownedLayer has files of several owners, one that may carry a capability, and a
// root that its user cannot write to.
func ownedLayer(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	capability := "\x01\x00\x00\x02\x00\x04" + strings.Repeat("\x00", 14)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeDir, Name: "./", Mode: 0o555, Uid: 7, Gid: 7},
		{Typeflag: tar.TypeDir, Name: "home/", Mode: 0o700, Uid: 1000, Gid: 100},
		{Typeflag: tar.TypeReg, Name: "home/suid", Mode: 0o4750, Uid: 1000, Gid: 0},
		{Typeflag: tar.TypeReg, Name: "ping", Mode: 0o755, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": capability}},
		{Typeflag: tar.TypeSymlink, Name: "link", Linkname: "ping", Uid: 5, Gid: 6},
		{Typeflag: tar.TypeReg, Name: "stranger", Mode: 0o4755, Uid: 3_000_000_000, Gid: 3_000_000_000},
		{Typeflag: tar.TypeChar, Name: "dev/null", Devmajor: 1, Devminor: 3},
	} {
		h.ModTime = time.Unix(1_600_000_000, 0)
		must(t, w.WriteHeader(&h))
	}
	must(t, w.Close())
	return out.Bytes()
}

// Owners come out as the user namespace maps them, whoever pulls.
func TestOwners(t *testing.T) {
	t.Parallel()
	s, f := newStore(t), newFake(t)
	f.add(t, "latest", layer{tar: ownedLayer(t)})
	img, told, err := pull(t, s, f.name("x"))
	must(t, err)
	mapping, err := userns.Current()
	must(t, err)
	tree := s.LayerPath(img.Layers[0])
	for name, want := range map[string]struct{ uid, gid, mode uint32 }{
		"": {7, 7, unix.S_IFDIR | 0o555}, "home": {1000, 100, unix.S_IFDIR | 0o700}, "link": {5, 6, unix.S_IFLNK | 0o777}, "ping": {0, 0, unix.S_IFREG | 0o755},
	} {
		var st unix.Stat_t
		must(t, unix.Lstat(filepath.Join(tree, name), &st))
		uid, gid := outside(mapping.UIDs, want.uid), outside(mapping.GIDs, want.gid)
		if st.Uid != uid || st.Gid != gid || st.Mode != want.mode {
			t.Errorf("%q: %d:%d %o, not %d:%d %o", name, st.Uid, st.Gid, st.Mode, uid, gid, want.mode)
		}
	}
	if outside(mapping.UIDs, 3_000_000_000) != 3_000_000_000 {
		var st unix.Stat_t
		must(t, unix.Lstat(filepath.Join(tree, "stranger"), &st))
		if st.Mode&unix.S_ISUID != 0 {
			t.Error("a set-id bit was given to another owner")
		}
		if !strings.Contains(told.String(), "belong to root") {
			t.Errorf("nobody was told: %v", told)
		}
	}
	if n, err := unix.Lgetxattr(filepath.Join(tree, "ping"), "security.capability", make([]byte, 64)); err != nil || n < 20 {
		t.Errorf("the capability: %d bytes, %v", n, err)
	}
	if !strings.Contains(told.String(), "1 device nodes left out") {
		t.Errorf("nobody was told of the device: %v", told)
	}
	_, err = s.RemoveImage(img, false)
	must(t, err)
	empty(t, s)
}

// outside is what an id of the namespace is on the host; those without one belong to its root.
func outside(maps []userns.IDMap, id uint32) uint32 {
	for _, m := range maps {
		if id >= m.Inside && id-m.Inside < m.Size {
			return m.Outside + id - m.Inside
		}
	}
	return uint32(os.Geteuid())
}
