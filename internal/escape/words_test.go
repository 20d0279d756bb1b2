package escape

import (
	"io"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/skiff-containers/skiff/oci"
)

// pwn sets a terminal's title, clears its screen and begins a line anew.
const pwn = "\x1b]0;pwned\a\x1b[2J\rskiff: all is well\n"

// What a container or its image calls itself reaches a terminal as printable characters,
// in tables, in errors and in events.
func TestWordsOfAContainerDoNotReachTheTerminal(t *testing.T) {
	t.Parallel()
	ref := image(t, func(c *v1.Config) {
		c.Labels = map[string]string{"label": pwn, pwn: "x"}
		c.Cmd = []string{"sh", "-c", "sleep 1000", pwn}
		c.Entrypoint = []string{"/bin/busybox"}
		c.Env = append(c.Env, "WORDS="+pwn)
	})
	name := newName(t)
	started := skiff("run", "-d", "--name", name, "--network", "none", "-v", self+":/tool:ro", ref)
	orderly(t, started)
	if started.code != 0 {
		t.Fatal(started.all)
	}
	must(t, "exec", "-d", name, "/tool", attacker, "sleep", pwn)
	must(t, "exec", "-d", name, "/tool", attacker, "title", pwn)
	eventually(t, "a process with a title", func() bool { return strings.Contains(skiff("top", name, "comm").all, "]0;") })
	for _, args := range [][]string{
		{"ps", "-a", "--no-trunc"}, {"ps", "-a", "--no-trunc", "--format", "table {{.Names}}\t{{.Command}}\t{{.Labels}}"}, {"images"},
		{"top", name}, {"top", name, "pid", "comm", "args"}, {"stats", "--no-stream", name},
		{"events", "--since", "1h", "--until", "0s", "--filter", "container=" + name}, {"inspect", name}, {"inspect", ref},
		{"exec", name, pwn}, {"exec", "-u", pwn, name, "true"}, {"exec", "-w", "/" + pwn, name, "true"}, {"port", pwn}, {"logs", pwn}, {"start", pwn}, {"rmi", pwn},
		{"run", "--rm", "--name", pwn, ref}, {"run", "--rm", "--network", pwn, ref}, {"run", "--rm", pwn}, {"pull", pwn}, {"run", "--rm", "--network", "none", "-h", pwn, ref},
		{"rename", name, pwn}, {"cp", name + ":/" + pwn, "/tmp"}, {"cp", "/" + pwn, name + ":/"}, {"diff", name}, {"kill", "-s", pwn, name},
	} {
		o := onTerminal(t, args...)
		for _, c := range []string{"\x1b]", "\x1b[2J", "\a"} {
			if strings.Contains(o, c) {
				t.Errorf("skiff %.40q: %q came through: %.600q", args, c, o)
			}
		}
	}
}

// onTerminal runs a command whose output is a terminal, and returns what comes there.
func onTerminal(t *testing.T, args ...string) string {
	t.Helper()
	master, slave := terminal(t)
	defer master.Close()
	cmd := command(args...)
	cmd.Stdout, cmd.Stderr = slave, slave
	read := make(chan string)
	go func() {
		all, _ := io.ReadAll(oci.ConsoleReader{Master: master}) // to EIO
		read <- string(all)
	}()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	cmd.Wait()
	return <-read
}

// A name that would be a path, or more than one line, is none.
func TestNamesArePlain(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../x", "a/b", ".", "..", "-x", "a b", "a\nb", pwn, strings.Repeat("x", 5000), "\u202e", "a\x00"} {
		o := outcome{code: 125}
		if !strings.Contains(name, "\x00") {
			o = skiff("create", "--name="+name, "--network", "none", imageRef)
		}
		if orderly(t, o); o.code != 125 && o.code != 1 {
			t.Errorf("%q: %d %s", name, o.code, o.all)
		}
	}
	if _, err := os.Lstat(base + "/store/x"); err == nil {
		t.Error("a name led out of its folder")
	}
}
