package oci

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// covered is a container whose starter has something else mounted on a file of the host's.
func covered(t *testing.T, path, by string) *container {
	t.Helper()
	c := newContainer(t, script("true")...)
	c.Prepare = []string{"/bin/mount", "--bind", by, path}
	return c
}

// Another file in the place of the host's /dev/null would be bound over what is to be
// masked (CVE-2025-31133).
func TestHostsNullIsChecked(t *testing.T) {
	c := covered(t, "/dev/null", "/etc/passwd")
	if e := c.refused(codeSetup); !strings.Contains(e.Text, "/dev/null is not the null device") {
		t.Error(e.Text)
	}
}

// A kernel parameter is written to the procfs itself, not to what is mounted there: a
// file of another name would take the value as something else (CVE-2025-52881).
func TestParameterBehindAMount(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "net/ipv4"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "net/ipv4/ip_forward"), nil, 0o666))
	c := covered(t, "/proc/sys", dir)
	c.Spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	if e := c.refused(codeSetup); !strings.Contains(e.Text, unix.EXDEV.Error()) {
		t.Error(e.Text)
	}
}

// Nor is a label: a process that seems confined would not be (CVE-2019-16884).
func TestLabelBehindAMount(t *testing.T) {
	proc, err := openProc()
	must(t, err)
	defer unix.Close(proc)
	for _, name := range []string{"thread-self/fd/0", "self/root/etc/passwd", "1/../../etc/passwd", "thread-self/cwd"} {
		if fd, err := openLabel(proc, name); err == nil {
			unix.Close(fd)
			t.Errorf("%s was opened", name)
		}
	}
}
