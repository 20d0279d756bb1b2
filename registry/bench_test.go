package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/skiff-containers/skiff/store"
)

// manyFiles is an archive like that of a large language runtime: 60,000 files of
// about 1 KB in 3,000 folders.
func manyFiles() []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	data := bytes.Repeat([]byte("skiff "), 170)
	for i := range 3000 {
		folder := fmt.Sprintf("usr/lib/%02d/%04d/", i%50, i)
		if i < 50 {
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: fmt.Sprintf("usr/lib/%02d/", i), Mode: 0o755})
		}
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder, Mode: 0o755})
		for j := range 20 {
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%sfile-%d.py", folder, j), Mode: 0o644, Size: int64(len(data))})
			w.Write(data)
		}
	}
	w.Close()
	return out.Bytes()
}

func BenchmarkUnpack(b *testing.B) {
	s := benchStore(b)
	data := manyFiles()
	b.ResetTimer()
	for b.Loop() {
		u, err := unpackLayer(context.Background(), s, bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		u.discard()
		b.StartTimer()
	}
}

func BenchmarkMakeImage(b *testing.B) {
	s := benchStore(b)
	program := filepath.Join(b.TempDir(), "program")
	data := make([]byte, 12<<20)
	i := 0
	for b.Loop() {
		b.StopTimer()
		i++
		copy(data, fmt.Sprint(i))
		if err := os.WriteFile(program, data, 0o755); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		_, err := MakeImage(context.Background(), s, store.Ref{Registry: "skiff.local", Repository: "hello", Tag: "latest"},
			[]LocalFile{{Name: "usr/bin/skiff", Mode: 0o755, Source: program}}, store.ImageConfig{Entrypoint: []string{"/usr/bin/skiff"}})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkImage(b *testing.B) {
	s := benchStore(b)
	ref := store.Ref{Registry: "skiff.local", Repository: "hello", Tag: "latest"}
	if _, err := MakeImage(context.Background(), s, ref, []LocalFile{{Name: "x", Data: []byte("y")}}, store.ImageConfig{Env: []string{"A=b"}}); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for b.Loop() {
		if _, _, err := Find(s, "skiff.local/hello"); err != nil {
			b.Fatal(err)
		}
	}
}

func benchStore(b *testing.B) *store.Store {
	base, err := os.MkdirTemp("", "skiff-bench-")
	if err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(base)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		s.RemoveTree(filepath.Join(base, "layers"))
		os.RemoveAll(base)
	})
	return s
}
