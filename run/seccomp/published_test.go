package seccomp

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestDefaultIsThePublishedProfile: the filter that containers get is the one of the
// newest profile that moby has published, whichever version go.mod names. It is had from
// the module proxy, so that nobody has to remember to copy it.
func TestDefaultIsThePublishedProfile(t *testing.T) {
	t.Parallel()
	published := publishedProfile(t)
	for name, capabilities := range map[string][]string{
		"none":       nil,
		"docker":     {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_SYS_CHROOT", "CAP_AUDIT_WRITE"},
		"admin":      {"CAP_SYS_ADMIN", "CAP_BPF", "CAP_PERFMON", "CAP_SYSLOG", "CAP_SYS_TIME"},
		"privileged": {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_RAWIO", "CAP_SYS_BOOT", "CAP_SYS_MODULE", "CAP_SYS_NICE", "CAP_SYS_PACCT", "CAP_SYS_TTY_CONFIG", "CAP_DAC_READ_SEARCH", "CAP_SYS_CHROOT"},
	} {
		have, err := Default(capabilities)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Load(published, capabilities)
		if err != nil {
			t.Fatalf("the published profile: %v", err)
		}
		if !bytes.Equal(have, want.Program) {
			t.Errorf("with capabilities %q the filter is not that of the newest profile: go get github.com/moby/profiles/seccomp@latest", name)
		}
	}
}

// publishedProfile is default.json of moby's newest release of its profiles.
func publishedProfile(t *testing.T) []byte {
	t.Helper()
	download := exec.Command("go", "mod", "download", "-json", "github.com/moby/profiles/seccomp@latest")
	download.Dir = t.TempDir() // outside of the module: its go.mod must not say which
	download.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	out, err := download.Output()
	var module struct{ Dir, Version, Error string }
	if jsonErr := json.Unmarshal(out, &module); jsonErr != nil || err != nil {
		t.Skipf("the module proxy cannot be asked for moby's newest profile: %v %s", err, module.Error)
	}
	t.Logf("the newest is %s", module.Version)
	data, err := os.ReadFile(filepath.Join(module.Dir, "default.json"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
