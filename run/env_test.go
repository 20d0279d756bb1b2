package run

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func caller(vars map[string]string) lookup {
	return func(key string) (string, bool) {
		value, ok := vars[key]
		return value, ok
	}
}

func writeTemp(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Files come first, -e later wins, a bare KEY is the caller's or takes the
// variable away, as docker run documents.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	file := writeTemp(t, "\xef\xbb\xbfA=file\n# comment\n\n  B=two words \nFROM_CALLER\nABSENT\nC=a=b#c\nQ=\"quoted\"\n")
	env, err := userEnv([]string{file}, []string{"A=flag", "FROM_CALLER", "IMAGE_SET", "EMPTY="}, caller(map[string]string{"FROM_CALLER": "yes"}))
	if err != nil {
		t.Fatal(err)
	}
	config := imageEnv(env, []string{"IMAGE_SET=1", "A=image", "KEPT=image", "PATH=/opt"})
	got := processEnv(config, "box", true)
	want := []string{"PATH=/opt", "HOSTNAME=box", "TERM=xterm", "A=flag", "B=two words ", "FROM_CALLER=yes", "C=a=b#c", "Q=\"quoted\"", "EMPTY=", "KEPT=image"}
	if !slices.Equal(got, want) {
		t.Errorf("environment is\n%q, want\n%q", got, want)
	}
}

func TestEnvironmentDefaults(t *testing.T) {
	t.Parallel()
	if got, want := processEnv(nil, "h", false), []string{defaultPath, "HOSTNAME=h"}; !slices.Equal(got, want) {
		t.Errorf("environment is %q, want %q", got, want)
	}
	got := processEnv([]string{"HOSTNAME=mine", "TERM=dumb"}, "h", true)
	if want := []string{defaultPath, "HOSTNAME=mine", "TERM=dumb"}; !slices.Equal(got, want) {
		t.Errorf("environment is %q, want %q", got, want)
	}
}

func TestEnvironmentErrors(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"=value\n", "A B=c\n", "\xff\xfe=1\n", "K=\x00\n"} {
		if _, err := userEnv([]string{writeTemp(t, text)}, nil, caller(nil)); err == nil {
			t.Errorf("a file with %q is taken", text)
		}
	}
	for _, pair := range []string{"=x", "", "A=\x00"} {
		if _, err := userEnv(nil, []string{pair}, caller(nil)); err == nil {
			t.Errorf("-e %q is taken", pair)
		}
	}
	if _, err := userEnv([]string{"/nowhere/at/all"}, nil, caller(nil)); err == nil {
		t.Error("a missing file is taken")
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	labels, err := parseLabels([]string{writeTemp(t, "f=1\nbare\n")}, []string{"a=b=c", "only", "f=2"}, map[string]string{"image": "x", "a": "old"})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"f": "2", "bare": "", "a": "b=c", "only": "", "image": "x"} {
		if got, ok := labels[key]; !ok || got != want {
			t.Errorf("label %q is %q (there: %t), want %q", key, got, ok, want)
		}
	}
	if _, err := parseLabels(nil, []string{"=x"}, nil); err == nil {
		t.Error("a label without a name is taken")
	}
}
