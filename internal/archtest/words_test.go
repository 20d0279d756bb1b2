package archtest

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// sources parses the shipped packages, without their tests.
func sources(t *testing.T, visit func(p goPackage, set *token.FileSet, files []*ast.File)) {
	for _, p := range packages(t) {
		set := token.NewFileSet()
		var files []*ast.File
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		if len(files) > 0 {
			visit(p, set, files)
		}
	}
}

func TestOnePackageCommentEach(t *testing.T) {
	sources(t, func(p goPackage, set *token.FileSet, files []*ast.File) {
		n := 0
		for _, f := range files {
			if f.Doc != nil {
				n++
			}
		}
		if n != 1 {
			t.Errorf("package %q has %d package comments, want one", p.short(), n)
		}
	})
}

func TestExportedNamesAreDocumented(t *testing.T) {
	sources(t, func(p goPackage, set *token.FileSet, files []*ast.File) {
		if !p.shipped() {
			return
		}
		d, err := doc.NewFromFiles(set, files, p.ImportPath)
		if err != nil {
			t.Fatal(err)
		}
		need := func(name, text string) {
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s.%s has no comment", p.short(), name)
			}
		}
		functions := func(prefix string, all []*doc.Func) {
			for _, f := range all {
				// What interfaces of the standard library prescribe explains itself.
				switch f.Name {
				case "Error", "Unwrap", "String", "Close", "Read", "Write", "Is", "MarshalJSON", "UnmarshalJSON":
					continue
				}
				need(prefix+f.Name, f.Doc)
			}
		}
		functions("", d.Funcs)
		for _, typ := range d.Types {
			need(typ.Name, typ.Doc)
			functions("", typ.Funcs)
			functions(typ.Name+".", typ.Methods)
		}
		for _, group := range [][]*doc.Value{d.Consts, d.Vars} {
			for _, v := range group {
				need(v.Names[0], v.Doc)
			}
		}
	})
}

// blame are the words with which errors must not begin: a cause follows what was
// being done, not an apology.
var blame = regexp.MustCompile(`(?i)\b(failed to|failure to|unable to|could not|error (while|when|in)|an error)\b`)

func TestErrorsTellWhatWasDone(t *testing.T) {
	sources(t, func(p goPackage, set *token.FileSet, files []*ast.File) {
		if !p.shipped() {
			return
		}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) == 0 {
					return true
				}
				fun, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				pkg, _ := fun.X.(*ast.Ident)
				if pkg == nil || pkg.Name+"."+fun.Sel.Name != "errors.New" && pkg.Name+"."+fun.Sel.Name != "fmt.Errorf" {
					return true
				}
				lit, ok := call.Args[0].(*ast.BasicLit)
				if !ok {
					return true
				}
				text, _ := strconv.Unquote(lit.Value)
				where := set.Position(lit.Pos())
				switch {
				case blame.MatchString(text):
					t.Errorf("%s: %q: say what was being done, and the cause", where, text)
				case strings.HasSuffix(text, "."):
					t.Errorf("%s: %q ends with a full stop", where, text)
				}
				return true
			})
		}
	})
}

// TestNoInitAndNoTODO: registration by import order cannot be followed by a
// reader, and what is left to be done belongs where work is planned.
func TestNoInitAndNoTODO(t *testing.T) {
	later := regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)
	sources(t, func(p goPackage, set *token.FileSet, files []*ast.File) {
		for _, f := range files {
			for _, d := range f.Decls {
				if fun, ok := d.(*ast.FuncDecl); ok && fun.Recv == nil && fun.Name.Name == "init" {
					t.Errorf("%s: init function", set.Position(fun.Pos()))
				}
			}
			for _, group := range f.Comments {
				if later.MatchString(group.Text()) {
					t.Errorf("%s: something left for later", set.Position(group.Pos()))
				}
			}
		}
	})
}

// TestFilesStaySmall: what grows past this does more than one thing.
func TestFilesStaySmall(t *testing.T) {
	const lines = 500
	root := ""
	for _, p := range packages(t) {
		if p.ImportPath == module+"/userns" {
			root = filepath.Dir(p.Dir)
		}
	}
	sources(t, func(p goPackage, set *token.FileSet, files []*ast.File) {
		for _, f := range files {
			if n := set.File(f.Pos()).LineCount(); n > lines {
				name, _ := filepath.Rel(root, set.Position(f.Pos()).Filename)
				t.Errorf("%s has %d lines, more than %d", name, n, lines)
			}
		}
	})
}
