package oci

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestExitCode(t *testing.T) {
	if e := newContainer(t, script("exit 7")...).run(); e.Failure != nil || e.Code != 7 {
		t.Errorf("%+v", e)
	}
}

func TestKilledBySignal(t *testing.T) {
	c := newContainer(t, "sleep", "100")
	c.Kill = 9
	if e := c.run(); e.Failure != nil || e.Code != 137 {
		t.Errorf("%+v", e)
	}
}

func TestNotStarted(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		env  []string
		code int
		text string
	}{
		{name: "not found", args: []string{"nonesuch"}, code: 127, text: `exec: "nonesuch": executable file not found in $PATH`},
		{name: "empty", args: []string{""}, code: 127, text: `exec: "": executable file not found in $PATH`},
		{name: "no path", args: []string{"true"}, env: []string{"A=b"}, code: 127, text: `exec: "true": executable file not found in $PATH`},
		{name: "no file", args: []string{"/bin/nonesuch"}, code: 127, text: `exec: "/bin/nonesuch": stat /bin/nonesuch: no such file or directory`},
		{name: "beneath a file", args: []string{"/etc/passwd/x"}, code: 127, text: `exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory`},
		{name: "not executable", args: []string{"/etc/passwd"}, code: 126, text: `exec: "/etc/passwd": permission denied`},
		{name: "directory", args: []string{"/bin"}, code: 126, text: `exec: "/bin": is a directory`},
		{name: "format", args: []string{"/bin/text"}, code: 126, text: `exec: "/bin/text": exec format error`},
		{name: "interpreter", args: []string{"script"}, code: 127, text: `exec: "script": no such file or directory`},
		{name: "nothing", args: nil, code: 125, text: "no command specified"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newContainer(t, test.args...)
			must(t, writeProgram(c.path("bin/text"), []byte("text\n")))
			must(t, writeProgram(c.path("bin/script"), []byte("#!/bin/nonesuch\n")))
			if test.env != nil {
				c.Spec.Process.Env = test.env
			}
			e := c.refused(test.code)
			if e.Text != test.text {
				t.Errorf("text %q, want %q", e.Text, test.text)
			}
			if (test.name == "format" || test.name == "interpreter") && e.Hint == "" {
				t.Error("no hint")
			}
			// The built-in init gives the same words.
			needStatic(t)
			c.Init = true
			if e := c.refused(test.code); e.Text != test.text {
				t.Errorf("with init: text %q, want %q", e.Text, test.text)
			}
		})
	}
}

func TestPathIsTheProcesss(t *testing.T) {
	c := newContainer(t, "tool")
	must(t, os.MkdirAll(c.path("opt/x"), 0o755))
	must(t, writeProgram(c.path("opt/x/tool"), []byte("#!/bin/sh\necho \"$0\"\n")))
	must(t, os.WriteFile(c.path("bin/tool"), nil, 0o644)) // passed over, as it is not executable
	c.Spec.Process.Env = []string{"PATH=/bin:/opt/x"}
	want(t, c.output(), "/opt/x/tool")
	c.Spec.Process.Env = []string{"PATH=/bin:"}
	c.Spec.Process.Cwd = "/opt/x"
	want(t, c.output(), "./tool")
	c.Spec.Process.Args = []string{"./x/tool"}
	c.Spec.Process.Cwd = "/opt"
	want(t, c.output(), "./x/tool")
}

func TestNotExecutableForTheUser(t *testing.T) {
	c := newContainer(t, "/bin/own")
	needRange(t)
	must(t, os.WriteFile(c.path("bin/own"), []byte("#!/bin/sh\n"), 0o744))
	c.Spec.Process.User = specs.User{UID: 1000, GID: 1000}
	if e := c.refused(126); e.Text != `exec: "/bin/own": permission denied` {
		t.Errorf("%+v", e)
	}
}

// A stage that dies without a word is no container that was started.
func TestStageDies(t *testing.T) {
	c := newContainer(t, "true")
	c.Filter = killFilter(unix.SYS_PIVOT_ROOT)
	if e := c.refused(codeSetup); e.Text != errStageDied.Error() {
		t.Errorf("%+v", e)
	}
}

// The config is larger than what a socket takes at once.
func TestLargeConfig(t *testing.T) {
	c := newContainer(t, script("env | grep -c ^LARGE")...)
	large := strings.Repeat("x", 1000)
	for i := range 1000 {
		c.Spec.Process.Env = append(c.Spec.Process.Env, fmt.Sprintf("LARGE%d=%s", i, large))
	}
	want(t, c.output(), "1000")
	for range 3 {
		c.Spec.Process.Env = append(c.Spec.Process.Env, c.Spec.Process.Env...)
	}
	if e := c.refused(126); e.Text != `exec: "sh": argument list too long` || e.Hint == "" {
		t.Errorf("%+v", e)
	}
}
