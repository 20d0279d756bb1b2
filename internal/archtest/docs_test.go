package archtest

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// document reads a file at the top of the repository.
func document(t *testing.T, name string) string {
	for _, p := range packages(t) {
		if p.ImportPath == module {
			data, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}
	}
	t.Fatal("the module has no main package")
	return ""
}

// TestArchitectureListsTheStages: a process that a user sees in ps is explained.
func TestArchitectureListsTheStages(t *testing.T) {
	text := document(t, "ARCHITECTURE.md")
	stage := regexp.MustCompile(`^skiff-[a-z0-9]+$`)
	n := 0
	sources(t, func(p goPackage, set *token.FileSet, files []*ast.File) {
		if !p.shipped() {
			return
		}
		for _, f := range files {
			ast.Inspect(f, func(node ast.Node) bool {
				spec, ok := node.(*ast.ValueSpec)
				if !ok || len(spec.Values) != 1 || !strings.HasSuffix(strings.ToLower(spec.Names[0].Name), "stage") && !strings.HasSuffix(spec.Names[0].Name, "StageName") {
					return true
				}
				if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
					if name, _ := strconv.Unquote(lit.Value); stage.MatchString(name) {
						n++
						if !strings.Contains(text, "`"+name+"`") {
							t.Errorf("%s: ARCHITECTURE.md does not list the stage %s", set.Position(lit.Pos()), name)
						}
					}
				}
				return true
			})
		}
	})
	if n < 5 {
		t.Errorf("only %d stages found: this test looks in the wrong place", n)
	}
}

// TestArchitectureNamesTheFolders of the top level.
func TestArchitectureNamesTheFolders(t *testing.T) {
	text := document(t, "ARCHITECTURE.md")
	for _, p := range packages(t) {
		if top, _, _ := strings.Cut(p.short(), "/"); top != "" && !strings.Contains(text, top+"/") {
			t.Errorf("ARCHITECTURE.md does not name %s/", top)
		}
	}
}
