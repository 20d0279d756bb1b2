package archive

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzExtract unpacks whatever bytes into a tree that is in use: it must neither panic
// nor touch anything outside, and what it made can be packed again.
func FuzzExtract(f *testing.F) {
	f.Add(write(f, entry{name: "a/"}, entry{name: "a/b", content: "x"}, entry{name: "l", link: "../secret"}), false)
	f.Add(write(f, entry{name: "l", link: ".."}, entry{name: "l/secret", content: "x"}, entry{name: "h", hard: "l/secret"}), true)
	f.Add(write(f, entry{name: "there/", content: ""}, entry{name: "there", content: "1"}, entry{name: ".wh.there", content: "1"}), false)
	f.Fuzz(func(t *testing.T, data []byte, host bool) {
		if len(data) > 1<<16 {
			t.Skip()
		}
		outside := t.TempDir()
		root := filepath.Join(outside, "root")
		lay(t, outside, "root/there/file=x", "root/link->../secret", "secret=outside")
		tree := newTree(t, root)
		if host {
			ExtractHost(tree, ExtractOptions{Overwrite: true}, bytes.NewReader(data))
		} else {
			tree.Extract(ExtractOptions{Into: "/there", Overwrite: true}, bytes.NewReader(data))
		}
		entries, err := os.ReadDir(outside)
		must(t, err)
		if text, err := os.ReadFile(filepath.Join(outside, "secret")); err != nil || string(text) != "outside" || len(entries) != 2 {
			t.Fatalf("outside of the tree there is %v, and the secret is %q (%v)", entries, text, err)
		}
		if os.Geteuid() == 0 {
			if _, err := tree.Pack(PackOptions{Path: "/", Name: "."}, &bytes.Buffer{}); err != nil {
				t.Errorf("what was unpacked cannot be packed: %v", err)
			}
		}
	})
}
