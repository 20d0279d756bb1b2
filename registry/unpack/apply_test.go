package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	unix.Umask(0)
	os.Exit(m.Run())
}

// entry is one entry of a test's archive.
type entry struct {
	name    string
	kind    byte // 0: a file, or a directory where the name ends in a slash
	link    string
	mode    int64
	uid     int
	content string
	xattrs  map[string]string
}

func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Mode: e.mode, Uid: e.uid, Gid: e.uid,
			Size: int64(len(e.content)), ModTime: time.Unix(1_600_000_000, 123_000_000), Format: tar.FormatPAX}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
			if strings.HasSuffix(e.name, "/") {
				h.Typeflag = tar.TypeDir
			}
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		for name, value := range e.xattrs {
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords[xattrRecord+name] = value
		}
		must(t, w.WriteHeader(h))
		_, err := w.Write([]byte(e.content))
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

// box is a directory to unpack into that lies in another, whose content must not change.
type box struct {
	outside, root string
	dir           *os.File
}

func newBox(t testing.TB) *box {
	t.Helper()
	b := &box{outside: t.TempDir()}
	b.root = filepath.Join(b.outside, "root")
	must(t, os.Mkdir(b.root, 0o755))
	must(t, os.WriteFile(filepath.Join(b.outside, "secret"), []byte("secret"), 0o600))
	dir, err := os.Open(b.root)
	must(t, err)
	b.dir = dir
	t.Cleanup(func() { dir.Close() })
	return b
}

// intact checks that nothing outside of the directory was touched.
func (b *box) intact(t testing.TB) {
	t.Helper()
	names, err := os.ReadDir(b.outside)
	must(t, err)
	var have []string
	for _, n := range names {
		have = append(have, n.Name())
	}
	if !slices.Equal(have, []string{"root", "secret"}) {
		t.Errorf("outside of the root there is %v", have)
	}
	data, err := os.ReadFile(filepath.Join(b.outside, "secret"))
	must(t, err)
	st, err := os.Lstat(filepath.Join(b.outside, "secret"))
	must(t, err)
	if string(data) != "secret" || st.Mode() != 0o600 || st.Sys() == nil {
		t.Errorf("the file outside was changed: %v %q", st.Mode(), data)
	}
	var raw unix.Stat_t
	must(t, unix.Lstat(filepath.Join(b.outside, "secret"), &raw))
	if raw.Nlink != 1 {
		t.Error("the file outside was linked to")
	}
}

func (b *box) apply(t testing.TB, entries ...entry) (*Result, error) {
	t.Helper()
	defer b.intact(t)
	return Apply(b.dir, bytes.NewReader(pack(t, entries...)))
}

// tree lists what was unpacked: "dir/", "file=content", "link->target", "!whiteout".
func (b *box) tree(t testing.TB) []string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(b.root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == b.root {
			return err
		}
		name := strings.TrimPrefix(path, b.root+"/")
		switch e.Type() {
		case fs.ModeDir:
			name += "/"
			if n, err := unix.Lgetxattr(path, opaqueXattr, nil); err == nil && n > 0 {
				name += "!opaque"
			}
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			must(t, err)
			name += "->" + target
		case fs.ModeDevice | fs.ModeCharDevice:
			name = "!" + name
		case fs.ModeNamedPipe:
			name += "|"
		default:
			data, err := os.ReadFile(path)
			must(t, err)
			name += "=" + string(data)
		}
		all = append(all, name)
		return nil
	}))
	slices.Sort(all)
	return all
}

func TestApply(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		entries  []entry
		want     []string
		implicit []string
	}{
		{"files and folders", []entry{{name: "./"}, {name: "a/"}, {name: "a/b", content: "1"}, {name: "./a/c", content: "2"}},
			[]string{"a/", "a/b=1", "a/c=2"}, nil},
		{"names are absolute", []entry{{name: "/"}, {name: "/a/"}, {name: "/a/b", content: "1"}}, []string{"a/", "a/b=1"}, nil},
		{"dots that stay inside", []entry{{name: "a/../b/./c", content: "1"}}, []string{"b/", "b/c=1"}, []string{"", "b"}},
		{"implicit folders", []entry{{name: "a/b/c", content: "1"}, {name: "a/"}}, []string{"a/", "a/b/", "a/b/c=1"}, []string{"", "a/b"}},
		{"links", []entry{{name: "a", content: "1"}, {name: "b", kind: tar.TypeLink, link: "a"}, {name: "c", kind: tar.TypeSymlink, link: "/a"}, {name: "d", kind: tar.TypeLink, link: "c"}},
			[]string{"a=1", "b=1", "c->/a", "d->/a"}, []string{""}},
		{"a link to itself", []entry{{name: "a", content: "1"}, {name: "a", kind: tar.TypeLink, link: "a"}}, []string{"a=1"}, []string{""}},
		{"a pipe", []entry{{name: "p", kind: tar.TypeFifo}}, []string{"p|"}, []string{""}},
		{"later entries replace", []entry{{name: "a", content: "1"}, {name: "a", content: "2"}, {name: "b/"}, {name: "b/x"}, {name: "b", content: "3"}, {name: "c", content: "4"}, {name: "c/"}, {name: "c/d", content: "5"}},
			[]string{"a=2", "b=3", "c/", "c/d=5"}, []string{""}},
		{"replacing one of two hard links", []entry{{name: "a", content: "1"}, {name: "b", kind: tar.TypeLink, link: "a"}, {name: "b", content: "2"}}, []string{"a=1", "b=2"}, []string{""}},
		{"a folder twice keeps its content", []entry{{name: "a/"}, {name: "a/b", content: "1"}, {name: "a/", mode: 0o700}}, []string{"a/", "a/b=1"}, []string{""}},
		{"a link to a folder is followed", []entry{{name: "usr/"}, {name: "usr/lib/"}, {name: "lib", kind: tar.TypeSymlink, link: "usr/lib"}, {name: "lib/x", content: "1"}},
			[]string{"lib->usr/lib", "usr/", "usr/lib/", "usr/lib/x=1"}, []string{""}},
		{"a folder replaces a link", []entry{{name: "usr/"}, {name: "lib", kind: tar.TypeSymlink, link: "usr"}, {name: "lib/y", content: "0"}, {name: "lib/"}, {name: "lib/x", content: "1"}},
			[]string{"lib/", "lib/x=1", "usr/", "usr/y=0"}, []string{""}},
		{"whiteouts", []entry{{name: ".wh.a"}, {name: "b/.wh.c"}, {name: "d/"}, {name: "d/.wh..wh..opq"}, {name: ".wh..wh.plnk/1.2"}, {name: ".wh..wh.aufs"}},
			[]string{"!a", ".wh..wh.plnk/", ".wh..wh.plnk/1.2=", "!b/c", "b/", "d/!opaque"}, []string{"", ".wh..wh.plnk", "b"}},
		{"an entry after its whiteout", []entry{{name: ".wh.a"}, {name: "a", content: "1"}, {name: ".wh.b"}, {name: "b/"}, {name: "b/c", content: "2"}},
			[]string{"a=1", "b/!opaque", "b/c=2"}, []string{""}},
		{"a whiteout after its entry", []entry{{name: "a", content: "1"}, {name: ".wh.a"}, {name: "b/"}, {name: "b/c", content: "2"}, {name: ".wh.b"}},
			[]string{"a=1", "b/!opaque", "b/c=2"}, []string{""}},
		{"below a whiteout", []entry{{name: ".wh.b"}, {name: "b/c/d", content: "2"}},
			[]string{"b/!opaque", "b/c/", "b/c/d=2"}, []string{"", "b", "b/c"}},
		{"devices are left out", []entry{{name: "null", kind: tar.TypeChar}, {name: "sda", kind: tar.TypeBlock}, {name: "nul", kind: tar.TypeLink, link: "null"}}, nil, []string{""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			result, err := b.apply(t, test.entries...)
			must(t, err)
			slices.Sort(test.want)
			if have := b.tree(t); !slices.Equal(have, test.want) {
				t.Errorf("have %q\nwant %q", have, test.want)
			}
			if !slices.Equal(result.Implicit, test.implicit) {
				t.Errorf("implicit: have %q, want %q", result.Implicit, test.implicit)
			}
		})
	}
}

// Hostile archives are refused, or do no harm; nothing outside changes either way.
func TestHostile(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("d/", 1500)
	tests := []struct {
		name    string
		entries []entry
		refused bool
	}{
		{"dots", []entry{{name: "../secret", content: "x"}}, true},
		{"dots within", []entry{{name: "a/../../secret", content: "x"}}, true},
		{"an absolute name", []entry{{name: "/../secret", content: "x"}}, true},
		{"a link upwards, a file through it", []entry{{name: "l", kind: tar.TypeSymlink, link: ".."}, {name: "l/secret", content: "x"}}, false},
		{"a link upwards deep down", []entry{{name: "a/"}, {name: "a/l", kind: tar.TypeSymlink, link: "../../../../.."}, {name: "a/l/secret", content: "x"}}, false},
		{"an absolute link, a file through it", []entry{{name: "l", kind: tar.TypeSymlink, link: "/tmp"}, {name: "l/skiff-hostile", content: "x"}}, true},
		{"a link replaced between", []entry{{name: "a/"}, {name: "a/b", content: "1"}, {name: "a", kind: tar.TypeSymlink, link: ".."}, {name: "a/secret", content: "x"}}, false},
		{"a file over a link", []entry{{name: "l", kind: tar.TypeSymlink, link: "../secret"}, {name: "l", content: "x"}}, false},
		{"a hard link to outside", []entry{{name: "l", kind: tar.TypeLink, link: "../secret"}}, true},
		{"a hard link to an absolute name", []entry{{name: "l", kind: tar.TypeLink, link: "/etc/passwd"}}, true},
		{"a hard link through a link", []entry{{name: "d", kind: tar.TypeSymlink, link: ".."}, {name: "l", kind: tar.TypeLink, link: "d/secret"}}, true},
		{"a hard link to a link, then written", []entry{{name: "d", kind: tar.TypeSymlink, link: "../secret"}, {name: "l", kind: tar.TypeLink, link: "d"}, {name: "l", content: "x"}}, false},
		{"a hard link to the root", []entry{{name: "l", kind: tar.TypeLink, link: "/"}}, true},
		{"a whiteout of what is outside", []entry{{name: "../.wh.secret"}}, true},
		{"a whiteout through a link", []entry{{name: "l", kind: tar.TypeSymlink, link: ".."}, {name: "l/.wh.secret"}}, false},
		{"a whiteout of the parent", []entry{{name: ".wh..."}}, true},
		{"a whiteout of the folder", []entry{{name: "a/.wh.."}}, true},
		{"a whiteout of nothing", []entry{{name: "a/.wh."}}, true},
		{"opaque outside", []entry{{name: "l", kind: tar.TypeSymlink, link: ".."}, {name: "l/.wh..wh..opq"}}, false},
		{"the root as a file", []entry{{name: "./", kind: tar.TypeSymlink, link: "/"}}, true},
		{"a folder over the root's parent", []entry{{name: "..", kind: tar.TypeDir, mode: 0o777}}, true},
		{"a loop of links", []entry{{name: "a", kind: tar.TypeSymlink, link: "b"}, {name: "b", kind: tar.TypeSymlink, link: "a"}, {name: "a/x", content: "1"}}, true},
		{"a long name", []entry{{name: strings.Repeat("n", 300), content: "x"}}, true},
		{"a deep name", []entry{{name: deep + "x", content: "x"}}, false},
		{"a name beyond all bounds", []entry{{name: strings.Repeat("d/", 5000) + "x", content: "x"}}, true},
		{"an owner that is none", []entry{{name: "a", uid: 1<<32 - 1}}, true},
		{"an unknown type", []entry{{name: "a", kind: 'Z'}}, true},
		{"overlay's own attributes", []entry{{name: "a/", xattrs: map[string]string{"user.overlay.redirect": "/etc", "user.overlay.opaque": "y", "trusted.overlay.opaque": "y"}}}, false},
		{"many attributes", []entry{{name: "a", xattrs: manyAttributes()}}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			_, err := b.apply(t, test.entries...)
			if test.refused != (err != nil) {
				t.Errorf("error: %v; refused should be %v", err, test.refused)
			}
			if _, err := os.Lstat("/tmp/skiff-hostile"); err == nil {
				t.Error("a file outside was made")
			}
		})
	}
}

func manyAttributes() map[string]string {
	all := map[string]string{}
	for i := range 2 * maxAttributes {
		all["user."+strings.Repeat("x", i+1)] = "1"
	}
	return all
}

func TestOverlayAttributesAreDropped(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	result, err := b.apply(t, entry{name: "a/", xattrs: map[string]string{"user.overlay.redirect": "/etc", "user.overlay.opaque": "y", "user.mine": "1"}})
	must(t, err)
	if result.Attributes != 2 {
		t.Errorf("%d attributes were left out, not 2", result.Attributes)
	}
	path := filepath.Join(b.root, "a")
	for _, name := range []string{"user.overlay.redirect", "user.overlay.opaque"} {
		if n, err := unix.Lgetxattr(path, name, nil); err == nil {
			t.Errorf("%s was set, %d bytes", name, n)
		}
	}
	value := make([]byte, 8)
	if n, err := unix.Lgetxattr(path, "user.mine", value); err != nil || string(value[:n]) != "1" {
		t.Errorf("user.mine: %v", err)
	}
}

func TestModesAndTimes(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	_, err := b.apply(t, entry{name: "d/", mode: 0o1777}, entry{name: "d/suid", mode: 0o4755, content: "x"}, entry{name: "d/ro", mode: 0o400, content: "y"}, entry{name: "sealed/", mode: 0o555}, entry{name: "sealed/f", content: "z"}, entry{name: "./", mode: 0o711})
	if os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission) {
		t.Skip("writing below a folder of mode 0555 takes root of a user namespace")
	}
	must(t, err)
	want := map[string]fs.FileMode{"": 0o711 | fs.ModeDir, "d": 0o777 | fs.ModeDir | fs.ModeSticky, "d/suid": 0o755 | fs.ModeSetuid, "d/ro": 0o400, "sealed": 0o555 | fs.ModeDir}
	for name, mode := range want {
		st, err := os.Lstat(filepath.Join(b.root, name))
		must(t, err)
		if st.Mode() != mode {
			t.Errorf("%q: mode %v, not %v", name, st.Mode(), mode)
		}
		if !st.ModTime().Equal(time.Unix(1_600_000_000, 123_000_000)) {
			t.Errorf("%q: time %v", name, st.ModTime())
		}
	}
}

// An owner without an id here is written down, and its set-id bits are not given
// to another.
func TestUnmappedOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may give files to anybody; the stage's test covers its namespace")
	}
	b := newBox(t)
	result, err := b.apply(t, entry{name: "f", mode: 0o4755, uid: 12345, content: "x"})
	must(t, err)
	if result.Squashed != 1 {
		t.Errorf("squashed %d, not 1", result.Squashed)
	}
	path := filepath.Join(b.root, "f")
	value := make([]byte, 64)
	n, err := unix.Lgetxattr(path, overrideXattr, value)
	must(t, err)
	if string(value[:n]) != "12345:12345:4755" {
		t.Errorf("written down is %q", value[:n])
	}
	st, err := os.Lstat(path)
	must(t, err)
	if st.Mode() != 0o755 {
		t.Errorf("mode %v", st.Mode())
	}
}

// What breaks off within an entry is an error; between two, the diff id tells.
func TestTruncated(t *testing.T) {
	t.Parallel()
	whole := pack(t, entry{name: "a/"}, entry{name: "a/b", content: strings.Repeat("x", 5000)})
	for _, n := range []int{100, 1500, 2600, 5000} {
		b := newBox(t)
		if _, err := Apply(b.dir, bytes.NewReader(whole[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestCapability(t *testing.T) {
	t.Parallel()
	v2 := "\x01\x00\x00\x02" + strings.Repeat("\x04", 16)
	v3 := "\x01\x00\x00\x03" + strings.Repeat("\x04", 16) + "\xe8\x03\x00\x00"
	for _, value := range []string{v2, v3} {
		if have, ok := capability([]byte(value)); !ok || string(have) != v2 {
			t.Errorf("%q became %q, %v", value, have, ok)
		}
	}
	for _, value := range []string{"", "abc", v2 + "x", v3[:22], "\x01\x00\x00\x09" + v2[4:]} {
		if have, ok := capability([]byte(value)); ok {
			t.Errorf("%q became %q", value, have)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// repeated reads the same bytes again and again.
type repeated struct{ data, rest []byte }

func (r *repeated) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		r.rest = r.data
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// What a layer makes us remember has a bound, however small it is when compressed.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	for _, kind := range []byte{tar.TypeChar, tar.TypeDir} {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		must(t, w.WriteHeader(&tar.Header{Name: strings.Repeat(strings.Repeat("n", 255)+"/", 14) + "last", Typeflag: kind, Mode: 0o755}))
		must(t, w.Flush())
		b := newBox(t)
		root, err := os.Open(b.root)
		must(t, err)
		defer root.Close()
		if _, err := Apply(root, &repeated{data: out.Bytes()}); err == nil || !strings.Contains(err.Error(), "too many directories or devices") {
			t.Errorf("type %q: %v", kind, err)
		}
	}
}
