package escape

import (
	"archive/tar"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/skiff-containers/skiff/internal/fixture"
)

// image serves one that is busybox's with further files and another config, and
// returns its name.
func image(t *testing.T, change func(c *v1.Config), files ...fixture.File) string {
	t.Helper()
	images, err := fixture.Images()
	if err != nil {
		t.Fatal(err)
	}
	made := images[0].Image
	if len(files) > 0 {
		layer, err := fixture.Layer(types.DockerLayer, files...)
		if err != nil {
			t.Fatal(err)
		}
		if made, err = mutate.AppendLayers(made, layer); err != nil {
			t.Fatal(err)
		}
	}
	config, err := made.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	change(&config.Config)
	if made, err = mutate.ConfigFile(made, config); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("hostile%d", containers.Add(1))
	if err := registry.Push(context.Background(), []fixture.Image{{Name: name + ":latest", Image: made}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { skiff("rmi", "-f", registry.Addr+"/"+name) })
	return registry.Addr + "/" + name
}

// Whatever an image's config says, a container comes of it or one error: no panic, no
// hang, no control characters for the terminal, and a store that works.
func TestHostileConfigs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	for name, change := range map[string]func(c *v1.Config){
		"environment": func(c *v1.Config) {
			c.Env = []string{"", "=", "=x", "NUL=a\x00b", "\x00", "A\nB=c", "\x1b]0;pwned\a=x", "PATH"}
		},
		"long environment":     func(c *v1.Config) { c.Env = append(c.Env, "LONG="+long) },
		"much environment":     func(c *v1.Config) { c.Env = append(c.Env, strings.Fields(strings.Repeat("A=b ", 200000))...) },
		"user with NUL":        func(c *v1.Config) { c.User = "a\x00b:c\nd" },
		"user of words":        func(c *v1.Config) { c.User = "\x1b]0;pwned\a" },
		"user number":          func(c *v1.Config) { c.User = "99999999999999999999" },
		"negative user":        func(c *v1.Config) { c.User = "-1:-1" },
		"long user":            func(c *v1.Config) { c.User = long },
		"relative directory":   func(c *v1.Config) { c.WorkingDir = "../../../../tmp" },
		"directory with NUL":   func(c *v1.Config) { c.WorkingDir = "/a\x00b" },
		"long directory":       func(c *v1.Config) { c.WorkingDir = "/" + long },
		"directory through fd": func(c *v1.Config) { c.WorkingDir = "/proc/self/fd/8" },
		"program with NUL":     func(c *v1.Config) { c.Entrypoint = []string{"/bin/sh\x00x"} },
		"program of words":     func(c *v1.Config) { c.Entrypoint = []string{"\x1b]0;pwned\a\n\rskiff: all is well"} },
		"program of none":      func(c *v1.Config) { c.Entrypoint, c.Cmd = []string{""}, []string{""} },
		"long arguments":       func(c *v1.Config) { c.Cmd = []string{"echo", long} },
		"program is our own":   func(c *v1.Config) { c.Entrypoint = []string{"/proc/self/exe"} },
		"labels": func(c *v1.Config) {
			c.Labels = map[string]string{"\x1b]0;pwned\a": "\x1b[2J\n", "": "\x00", "long": long}
		},
		"signal":        func(c *v1.Config) { c.StopSignal = "SIG\x1b[2J" },
		"signal number": func(c *v1.Config) { c.StopSignal = "-9" },
		"ports": func(c *v1.Config) {
			c.ExposedPorts = map[string]struct{}{"\x1b[2J": {}, "99999999/tcp": {}, "1-65535/tcp": {}, "80/\n": {}}
		},
		"volumes": func(c *v1.Config) {
			c.Volumes = map[string]struct{}{"/proc": {}, "../../../../tmp/x": {}, "/sys/\x1b[2J": {}}
		},
		"shell": func(c *v1.Config) { c.Shell = []string{"\x00"} },
		"healthcheck": func(c *v1.Config) {
			c.Healthcheck = &v1.HealthConfig{Test: []string{"CMD", "\x00\x1b[2J"}, Interval: -time.Hour, Timeout: -1, Retries: -5}
		},
		"healthcheck of nobody": func(c *v1.Config) { c.Healthcheck = &v1.HealthConfig{Test: []string{""}, Interval: 1, StartPeriod: 1} },
	} {
		t.Run(name, func(t *testing.T) {
			ref := image(t, change)
			name := newName(t)
			for _, o := range []outcome{
				skiff("run", "--name", name, "--network", "none", ref),
				skiff("ps", "-a", "--no-trunc", "--filter", "name="+name),
				skiff("inspect", name), skiff("inspect", ref), skiff("port", name), skiff("start", "-a", name),
			} {
				orderly(t, o)
			}
		})
	}
}

// orderly is what every command must be. Its data may hold anything where no terminal
// reads it.
func orderly(t *testing.T, o outcome) {
	t.Helper()
	for _, word := range []string{"panic", "goroutine", hung} {
		if strings.Contains(o.all, word) {
			t.Errorf("%q in what was said: %.500q", word, o.all)
		}
	}
	if strings.ContainsAny(o.talk, "\x1b\a\r\x00") {
		t.Errorf("control characters in what was said: %.500q", o.talk)
	}
}

// The files in which users are looked up are the container's to write: links lead to
// none of the host's, and what is no file or has no end is not waited for.
func TestHostileAccounts(t *testing.T) {
	t.Parallel()
	host := folder(t)
	write(t, filepath.Join(host, "accounts"), "evil:x:4321:4321::/:/bin/sh\n", 0o644)
	long := strings.Repeat("x", 9<<20) + "\n"
	for name, kind := range map[string]func(path string) fixture.File{
		"pipe": func(path string) fixture.File { return fixture.File{Name: path, Type: tar.TypeFifo} },
		"link": func(path string) fixture.File {
			return fixture.File{Name: path, Type: tar.TypeSymlink, Link: "/../../../../../.." + host + "/accounts"}
		},
		"up": func(path string) fixture.File {
			return fixture.File{Name: path, Type: tar.TypeSymlink, Link: "../../../../../../.." + host + "/accounts"}
		},
		"magic": func(path string) fixture.File {
			return fixture.File{Name: path, Type: tar.TypeSymlink, Link: "/proc/1/root" + host + "/accounts"}
		},
		"stdin": func(path string) fixture.File {
			return fixture.File{Name: path, Type: tar.TypeSymlink, Link: "/proc/self/fd/0"}
		},
		"tty": func(path string) fixture.File {
			return fixture.File{Name: path, Type: tar.TypeSymlink, Link: "/dev/zero"}
		},
		"loop":   func(path string) fixture.File { return fixture.File{Name: path, Type: tar.TypeSymlink, Link: "passwd"} },
		"folder": func(path string) fixture.File { return fixture.File{Name: path + "/"} },
		"long":   func(path string) fixture.File { return fixture.File{Name: path, Content: long} },
		"escape": func(path string) fixture.File {
			return fixture.File{Name: path, Content: "\x1b]0;pwned\a:x:0:0:\x1b[2J:/\x1b[2J:\n"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ref := image(t, func(*v1.Config) {}, kind("etc/passwd"), kind("etc/group"))
			name := newName(t)
			// How many ids it is given depends on the accounts. Not everybody has so many.
			orderly(t, skiff("run", "--rm", "--network", "none", "--userns", "auto", ref, "true"))
			ran := skiff("run", "--rm", "--network", "none", "-u", "evil", ref, "id", "-u")
			added := skiff("run", "--rm", "--network", "none", "--group-add", "evil", ref, "id", "-G")
			for _, o := range []outcome{ran, added} {
				if orderly(t, o); o.code == 0 {
					t.Errorf("a user of the host's was found: %s", o.all)
				}
			}
			if o := skiff("run", "-d", "--name", name, "--network", "none", ref, "sleep", "1000"); o.code != 0 {
				orderly(t, o) // as no user can be looked up
				return
			}
			entered := skiff("exec", "-u", "evil", name, "id", "-u")
			if orderly(t, entered); entered.code == 0 {
				t.Errorf("a user of the host's was found: %s", entered.all)
			}
			orderly(t, skiff("top", name, "user", "group", "comm"))
			orderly(t, skiff("exec", name, "id"))
			orderly(t, skiff("run", "--rm", "--network", "none", "--userns", "keep-id", ref, "true"))
		})
	}
	if now := hostFile(t, filepath.Join(host, "accounts")); now != "evil:x:4321:4321::/:/bin/sh" {
		t.Errorf("the host's file holds %q", now)
	}
}

// What skiff itself mounts or makes in a container lands in it, wherever links of the
// image lead: the container's console, its name files, its working directory.
func TestHostileLinksInAnImage(t *testing.T) {
	t.Parallel()
	outside := folder(t)
	if err := os.Chmod(outside, 0o777); err != nil {
		t.Fatal(err)
	}
	// Some of them lead to what is there.
	for _, name := range []string{"run", "work", "secrets"} {
		if err := os.Mkdir(filepath.Join(outside, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	way := "/../../../../../.." + outside
	var files []fixture.File
	for _, name := range []string{"etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/localtime", "etc/mtab", "run", "dev/console", "dev/shm", "dev/pts", "dev/mqueue", "dev/null", "work", "secrets"} {
		files = append(files, fixture.File{Name: name, Type: tar.TypeSymlink, Link: way + "/" + filepath.Base(name)})
	}
	ref := image(t, func(c *v1.Config) { c.WorkingDir = "/work/made" }, files...)
	o := skiff("run", "--rm", "-t", "--network", "none", "--tz", "local", "--tmpfs", "/run/made", "-v", outside+":/secrets/made", ref, "true")
	orderly(t, o)
	if o.code != 0 {
		t.Errorf("it was not started: %s", o.all)
	}
	first, _ := filepath.Glob(outside + "/*")
	second, _ := filepath.Glob(outside + "/*/*")
	if len(first) != 3 || len(second) > 0 {
		t.Errorf("made outside: %v %v", first, second)
	}
}
