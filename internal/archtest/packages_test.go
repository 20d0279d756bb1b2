package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/skiff-containers/skiff"

// goPackage is what `go list -json` tells of a package.
type goPackage struct {
	ImportPath string
	Dir        string
	Standard   bool
	GoFiles    []string
	Imports    []string
	Deps       []string
}

// short is the path below the module: "store", "conmon/shim", "" for main.
func (p goPackage) short() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// shipped tells whether a package is part of the product, not a tool of its making.
func (p goPackage) shipped() bool {
	return !tool(p.short()) && p.short() != "conmon/program/embed"
}

// tool tells whether a package is for tests and the making only.
func tool(short string) bool {
	return strings.HasPrefix(short, "internal/") || short == "netns/helper/tcptest"
}

var ours = sync.OnceValues(func() ([]goPackage, error) { return list(module + "/...") })

func packages(t *testing.T) []goPackage {
	all, err := ours()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func list(args ...string) ([]goPackage, error) {
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Standard,GoFiles,Imports,Deps"}, args...)...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, errors.New(string(exit.Stderr))
	}
	if err != nil {
		return nil, err
	}
	var found []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, err
		}
		found = append(found, p)
	}
}
