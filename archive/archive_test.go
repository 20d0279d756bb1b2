package archive

import (
	"archive/tar"
	"bytes"
	"testing"
)

// entry is one entry of a test's archive: a directory where the name ends in a slash.
type entry struct {
	name, link, hard, content string
	mode                      int64
}

func write(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: tar.TypeReg, Mode: e.mode, Size: int64(len(e.content))}
		switch {
		case e.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
		case e.hard != "":
			h.Typeflag, h.Linkname = tar.TypeLink, e.hard
		case e.name[len(e.name)-1] == '/':
			h.Typeflag = tar.TypeDir
		}
		if h.Mode == 0 {
			h.Mode = 0o700
		}
		must(t, w.WriteHeader(h))
		_, err := w.Write([]byte(e.content))
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

func planted(t testing.TB) []byte { return write(t, entry{name: "planted", content: "x"}) }

func plantedIn(t testing.TB, folder string) []byte {
	return write(t, entry{name: folder}, entry{name: folder + "planted", content: "x"}, entry{name: folder + "secret", content: "changed"})
}
