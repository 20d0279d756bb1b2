package archive

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// whiteout makes the mark by which overlayfs hides a name.
func whiteout(t *testing.T, path string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, unix.Mknod(path, unix.S_IFCHR, 0))
}

func TestCompare(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	at := func(name string) string { return filepath.Join(top, name) }
	lay(t, at("low"), "kept=1", "changed=1", "gone=1", "hidden=1", "dir/inside=1", "dir/other=1", "again/old=1", "again/same=1", "quiet/x=1", "tofile/x=1", "todir=1", "etc/")
	lay(t, at("mid"), "added=2")
	whiteout(t, at("mid/hidden"))
	lay(t, at("up"), "changed=12", "new/deep/file=1", "again/old=11", "hidden=2", "quiet/", "tofile=1", "todir/x=1", "dir/", "etc/hosts=", "proc/", "run/left=1")
	for _, name := range []string{"gone", "dir/inside", "never"} {
		whiteout(t, at("up/"+name))
	}
	if err := unix.Setxattr(at("up/again"), "user.overlay.opaque", []byte("y"), 0); err != nil {
		t.Skipf("no attributes here: %v", err)
	}
	// Copied up, and left as it was.
	same, err := os.Stat(at("low/kept"))
	must(t, err)
	lay(t, at("up"), "kept=1")
	must(t, os.Chtimes(at("up/kept"), time.Now(), same.ModTime()))
	have, err := (&Comparison{Upper: at("up"), Lowers: []string{at("mid"), at("low")}}).run()
	must(t, err)
	want := []Change{{"/again", Changed}, {"/again/old", Changed}, {"/again/same", Deleted}, {"/changed", Changed},
		{"/dir", Changed}, {"/dir/inside", Deleted}, {"/gone", Deleted}, {"/hidden", Added}, {"/new", Added}, {"/new/deep", Added}, {"/new/deep/file", Added},
		{"/run", Added}, {"/run/left", Added}, {"/todir", Changed}, {"/todir/x", Added}, {"/tofile", Changed}}
	if !slices.Equal(have, want) {
		t.Errorf("have %v\nwant %v", have, want)
	}

	// The driver "copy" has everything in one folder.
	lay(t, at("whole"), "added=2", "changed=12", "dir/other=1", "fresh=1")
	for _, name := range []string{"dir/other"} {
		info, err := os.Stat(at("low/" + name))
		must(t, err)
		must(t, os.Chtimes(at("whole/"+name), time.Now(), info.ModTime()))
	}
	info, err := os.Stat(at("mid/added"))
	must(t, err)
	must(t, os.Chtimes(at("whole/added"), time.Now(), info.ModTime()))
	have, err = (&Comparison{Upper: at("whole"), Lowers: []string{at("mid"), at("low")}, Whole: true}).run()
	must(t, err)
	want = []Change{{"/again", Deleted}, {"/changed", Changed}, {"/dir", Changed}, {"/dir/inside", Deleted}, {"/etc", Deleted}, {"/fresh", Added},
		{"/gone", Deleted}, {"/kept", Deleted}, {"/quiet", Deleted}, {"/todir", Deleted}, {"/tofile", Deleted}}
	if !slices.Equal(have, want) {
		t.Errorf("have %v\nwant %v", have, want)
	}
}
