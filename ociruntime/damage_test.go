package ociruntime

import (
	"os"
	"path/filepath"
	"testing"
)

// damages are what a crash of the machine, a full disk, or a mistake may make of a file.
var damages = map[string]func(name string) error{
	"missing": func(string) error { return nil },
	"empty":   func(name string) error { return os.WriteFile(name, nil, 0o600) },
	"garbage": func(name string) error { return os.WriteFile(name, []byte("\x00\xffgarbage"), 0o600) },
	"folder":  func(name string) error { return os.MkdirAll(filepath.Join(name, "further"), 0o700) },
	"truncated": func(name string) error {
		return os.WriteFile(name, []byte(`{"id":"test","bundle":"/`), 0o600)
	},
}

// Whatever has become of a container's files, it can be deleted with force.
func TestDeleteOfDamaged(t *testing.T) {
	for _, file := range []string{fileState, fileConfig, fileStart} {
		for what, damage := range damages {
			t.Run(file+" "+what, func(t *testing.T) {
				c := newContainer(t, "exec sleep 1000")
				c.create()
				opened, err := c.runtime.Open("test")
				must(t, err)
				t.Cleanup(func() { // where nobody can tell any longer whose it is
					opened.record.Process.KillAndWait(patience)
					opened.remove()
				})
				name := filepath.Join(c.runtime.folder("test"), file)
				must(t, os.RemoveAll(name))
				must(t, damage(name))
				if _, err := c.runtime.List(); err != nil {
					t.Errorf("listing: %v", err)
				}
				must(t, c.runtime.Delete("test", true))
				c.nothingLeft()
				left, err := opened.record.Process.Open()
				must(t, err)
				if left != nil && file != fileState {
					t.Error("its process was left")
				}
				if file == fileState && what != "missing" && len(c.warned) == 0 {
					t.Error("it was not said that something may be left")
				}
			})
		}
	}
}
