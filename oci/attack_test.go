package oci

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Links in an image lead nowhere but into the image.
func TestTargetsStayInTheRoot(t *testing.T) {
	for _, link := range []string{"../../../../../../..", "/", "/..", "loop"} {
		t.Run(strings.ReplaceAll(link, "/", "_"), func(t *testing.T) {
			c := newContainer(t, script("cat /x/escape/dir/file /x/escape/made")...)
			must(t, os.Mkdir(c.path("x"), 0o755))
			outside := t.TempDir()
			target := link + outside
			if link == "loop" {
				target = "escape"
			}
			must(t, os.Symlink(target, c.path("x/escape")))
			dir := volume(t)
			c.bind(dir, "/x/escape/dir")
			c.bind(filepath.Join(dir, "file"), "/x/escape/made")
			if link == "loop" {
				if e := c.refused(codeSetup); !strings.HasSuffix(e.Text, "too many levels of symbolic links") {
					t.Error(e.Text)
				}
				return
			}
			want(t, c.output(), "content", "content")
			if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
				t.Errorf("made outside: %v %v", entries, err)
			}
			if _, err := os.Stat(c.path(outside)); err != nil {
				t.Errorf("not made inside: %v", err)
			}
		})
	}
}

// Masks are names beneath /proc and /sys: those must be what they seem (CVE-2019-19921).
func TestLinkedKernelDirectories(t *testing.T) {
	for _, name := range []string{"proc", "sys"} {
		for _, target := range []string{"/etc", "../../../../tmp", "nonesuch"} {
			t.Run(name+"-"+filepath.Base(target), func(t *testing.T) {
				c := newContainer(t, "true")
				must(t, os.Remove(c.path(name)))
				must(t, os.Symlink(target, c.path(name)))
				if e := c.refused(codeSetup); !strings.Contains(e.Text, "is not an ordinary directory") {
					t.Error(e.Text)
				}
				// Nor may it be led astray by what is bound there instead.
				c.Spec.Mounts = nil
				c.bind("/"+name, "/"+name, "rbind")
				if e := c.refused(codeSetup); !strings.Contains(e.Text, "is not an ordinary directory") {
					t.Error(e.Text)
				}
			})
		}
	}
}

func TestLinkedDev(t *testing.T) {
	c := newContainer(t, script("ls -d /dev/null")...)
	outside := t.TempDir()
	must(t, os.Remove(c.path("dev")))
	must(t, os.Symlink("../../../../../.."+outside, c.path("dev")))
	c.run() // whether it starts is the image's business
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("made outside: %v %v", entries, err)
	}
}

// What lies at the container's /dev/null when paths are masked is not what masks them (CVE-2025-31133).
func TestMaskIsTheHostsNull(t *testing.T) {
	busybox, err := exec.LookPath("busybox")
	must(t, err)
	c := newContainer(t, script("stat -c %F /dev/null; cat /secret | wc -c; stat -c %t:%T /secret")...)
	must(t, os.WriteFile(c.path("secret"), []byte("secret"), 0o644))
	c.Spec.Linux.MaskedPaths = []string{"/secret"}
	// The last moment before the mask, which another container that shares the mount has too.
	c.Spec.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: busybox, Args: []string{"busybox", "mount", "--bind", c.path("etc/passwd"), c.path("dev/null")}}}}
	want(t, c.output(), "regular file", "0", "1:3")
}

// The terminal comes from a devpts or not at all (CVE-2025-52565).
func TestTerminalNeedsDevpts(t *testing.T) {
	c := newContainer(t, "true")
	c.Spec.Process.Terminal = true
	var kept []specs.Mount
	for _, m := range c.Spec.Mounts {
		if m.Type != "devpts" {
			kept = append(kept, m)
		}
	}
	c.Spec.Mounts = kept
	if e := c.refused(codeSetup); !strings.Contains(e.Text, "no /dev/pts") {
		t.Error(e.Text)
	}
	c.bind(t.TempDir(), "/dev/pts")
	if e := c.refused(codeSetup); !strings.Contains(e.Text, "no devpts") {
		t.Error(e.Text)
	}
}

// exeWriter tries to write to the program of PID 1, by a name and by a descriptor that
// was opened before.
const exeWriter = `
exec 9</proc/1/exe
{ echo overwritten > /proc/1/exe; } 2>/dev/null && echo written now
{ echo overwritten > /proc/self/fd/9; } 2>/dev/null && echo written by descriptor
echo tried
`

// The program that starts a container cannot be written from it (CVE-2019-5736), here
// the one that stays in it as PID 1.
func TestProgramCannotBeWritten(t *testing.T) {
	needStatic(t)
	before, err := os.Stat("/proc/self/exe")
	must(t, err)
	c := newContainer(t, script(exeWriter)...)
	c.Init = true
	want(t, c.output(), "tried")
	c.foreign = true // then it is a copy in memory
	want(t, c.output(), "tried")
	after, err := os.Stat("/proc/self/exe")
	must(t, err)
	if before.Size() != after.Size() || before.ModTime() != after.ModTime() {
		t.Error("the program was changed")
	}
}

// An image whose command is /proc/self/exe runs the stage's program again: it finds no
// stage to be and no way to write.
func TestCommandIsProcSelfExe(t *testing.T) {
	needStatic(t)
	c := newContainer(t, "/proc/self/exe", "-test.run", "^$")
	c.run()
	if f, err := os.OpenFile("/proc/self/exe", os.O_RDONLY, 0); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
}
